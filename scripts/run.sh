#!/usr/bin/env bash
# Runs a command with this checkout's Python, Go and tools: `scripts/run.sh pytest tests/unit`.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

venv="$(venv_path)"
[[ -d "$venv" ]] || die "the Python environment is not there yet: run scripts/setup.sh (or make setup)"
go="$("$ROOT/scripts/go-env.sh")"
# Debian keeps nginx and others in sbin, which is not on every user's PATH.
export PATH="$venv/bin:$ROOT/scripts:$CACHE/bin:$go:$PATH:/usr/local/sbin:/usr/sbin:/sbin"
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}" GOPUB_CACHE="$CACHE"
exec "$@"

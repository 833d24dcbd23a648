#!/usr/bin/env bash
# Makes this checkout ready to run: `setup.sh` for the demo and the checks, `setup.sh tools` for the tests as well.
# Every part is made once, outside the checkout; run again, it takes a second, and it mends what a killed run left.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

"$ROOT/scripts/apt.sh" "$@"
"$ROOT/scripts/venv.sh" >/dev/null
"$ROOT/scripts/go-env.sh" >/dev/null
"$ROOT/scripts/modules.sh"
[[ "${1:-}" != tools ]] || "$ROOT/scripts/tools.sh"

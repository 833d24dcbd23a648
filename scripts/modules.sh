#!/usr/bin/env bash
# Brings the Go modules that the example's releases, the tests of go/ and their clients draw on, so that neither needs a network later.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# in_cache CACHE FOLDER WORD...: a word to go about the modules of a folder; its own settings are not asked.
in_cache() { GOMODCACHE="$1" GOFLAGS='' GOWORK=off GOTOOLCHAIN=local go -C "$2" mod "${@:3}"; }

# Where gopub's own builds look, which also ask go mod tidy, and where the tests do (tests/support/go.py).
fetch() {
  local sums
  say "fetching the Go modules of the example and of go/"
  in_cache "$CACHE/go-mod" "$ROOT/examples/hello" download
  in_cache "$CACHE/go-mod" "$ROOT/examples/hello" tidy -diff >/dev/null
  for sums in "${SUMS[@]}"; do in_cache "$CACHE/go-tests/go/pkg/mod" "${sums%/go.sum}" download; done
}

SUMS=("$ROOT"/examples/hello/go.sum "$ROOT"/go/*/go.sum "$ROOT"/go/gray/graygrpc/go.sum)
readonly SUMS
PATH="$("$ROOT/scripts/go-env.sh"):$PATH"
export PATH
lock modules
make_once "$CACHE/modules-$(cat "${SUMS[@]}" | sha256sum | cut -c1-16)" fetch

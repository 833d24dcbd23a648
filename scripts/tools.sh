#!/usr/bin/env bash
# Builds the Go programs that the tests need beside gopub, once each, into $CACHE/tools/<name>-<version>/<name>,
# with a link to each in $CACHE/bin. The demo with its defaults needs none of them.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly MINIO="github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
readonly COSIGN="github.com/sigstore/cosign/v3/cmd/cosign@v3.1.2"

# The whole environment is set here: a GOFLAGS of the machine must not change what is built.
build() {
  local module="$1" folder="$2"
  say "building $module (minutes, once)"
  GOBIN="$folder" CGO_ENABLED=0 GOFLAGS=-trimpath GOWORK=off GOENV=off GOTOOLCHAIN=local GOOS='' GOARCH='' \
    nice go install "$module"
}

tool() {
  local name="$1" module="$2" folder
  folder="$CACHE/tools/$name-${module##*@}"
  make_once "$folder" build "$module"
  mkdir -p "$CACHE/bin"
  [[ "$(readlink "$CACHE/bin/$name" || true)" == "$folder/$name" ]] || ln -sfn "$folder/$name" "$CACHE/bin/$name"
}

PATH="$("$ROOT/scripts/go-env.sh"):$PATH"
export PATH
lock tools
tool minio "$MINIO"
tool cosign "$COSIGN"

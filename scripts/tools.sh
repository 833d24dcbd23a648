#!/usr/bin/env bash
# Builds the Go programs that the tests need beside gopub, once each, into $CACHE/tools/<name>-<version>/<name>,
# with a link to each in $CACHE/bin. The demo with its defaults needs none of them.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly MINIO="github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
readonly COSIGN="github.com/sigstore/cosign/v3/cmd/cosign@v3.1.2"
readonly FULCIO="github.com/sigstore/fulcio@v1.8.8"
readonly REKOR="github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix@v2.3.0" # its program is called posix
readonly GRPCURL="github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4"
readonly INTEROP="google.golang.org/grpc/interop/client@v1.82.0" # its program is called client
readonly TIMESTAMPS="github.com/sigstore/timestamp-authority/v2@v2.1.3"

# The whole environment is set here: a GOFLAGS of the machine must not change what is built.
clean_go() {
  CGO_ENABLED=0 GOFLAGS=-trimpath GOWORK=off GOENV=off GOTOOLCHAIN=local GOOS='' GOARCH='' nice go "$@"
}

build() {
  local module="$1" folder="$2"
  say "building $module (minutes, once)"
  GOBIN="$folder" clean_go install "$module"
}

# build_on_loopback MODULE PACKAGE FILE FROM TO FOLDER: build a program whose figures would be served on a port of all
# interfaces that is taken once for a machine. FILE says so in the text FROM; a release that does not is not built.
build_on_loopback() {
  local module="$1" package="$2" file="$3" from="$4" to="$5" folder="$6" source
  say "building $module (minutes, once)"
  source="$(clean_go mod download -json "$module" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')"
  cp -r "$source" "$folder/source"
  chmod -R u+w "$folder/source"
  grep --quiet --fixed-strings "$from" "$folder/source/$file" || die "$module: $file has no $from any more"
  sed -i "s|$from|$to|" "$folder/source/$file"
  clean_go build -C "$folder/source" -buildvcs=false -o "$folder/" "./$package"
  rm -r "$folder/source"
}

# tool NAME MODULE [PROGRAM]: PROGRAM is what Go calls it, where that is not NAME.
tool() {
  local name="$1" module="$2" program="${3:-$1}" folder
  folder="$CACHE/tools/$name-${module##*@}"
  make_once "$folder" build "$module"
  link "$name" "$folder/$program"
}

# tool_on_loopback NAME MODULE PACKAGE FILE FROM TO: as build_on_loopback says.
tool_on_loopback() {
  local name="$1" module="$2" folder
  folder="$CACHE/tools/$name-${module##*@}-loopback"
  make_once "$folder" build_on_loopback "${@:2}"
  link "$name" "$folder/$name"
}

# own_tool NAME SOURCE MODULE...: a program of ours for the tests, and ours that it links; another source, another folder.
own_tool() {
  local name="$1" source="$ROOT/$2" folder digest
  digest="$(cd "$ROOT" && find "${@:2}" -maxdepth 1 -type f \( -name '*.go' -o -name 'go.*' \) | LC_ALL=C sort | xargs cat | sha256sum | cut -c1-16)"
  folder="$CACHE/tools/$name-$digest"
  make_once "$folder" build_own "$name" "$source"
  link "$name" "$folder/$name"
}

build_own() {
  say "building $1 (a minute, once)"
  clean_go build -C "$2" -buildvcs=false -o "$3/$1" .
}

link() {
  mkdir -p "$CACHE/bin"
  [[ "$(readlink "$CACHE/bin/$1" || true)" == "$2" ]] || ln -sfn "$2" "$CACHE/bin/$1"
}

PATH="$("$ROOT/scripts/go-env.sh"):$PATH"
export PATH
lock tools
tool minio "$MINIO"
tool cosign "$COSIGN"
tool grpcurl "$GRPCURL"
tool grpc-interop "$INTEROP" client
own_tool grpcpair tests/support/grpcpair
own_tool hops examples/hops go/gray go/gray/graygrpc
tool rekor-posix "$REKOR" posix
tool_on_loopback fulcio "$FULCIO" . cmd/app/serve.go '":%v", viper.GetString("metrics-port")' '"127.0.0.1:%v", viper.GetString("metrics-port")'
tool_on_loopback timestamp-server "$TIMESTAMPS" cmd/timestamp-server pkg/server/prometheus.go '":2112"' '"127.0.0.1:0"'

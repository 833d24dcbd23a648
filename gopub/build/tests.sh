#!/bin/sh
# The two halves of `go test`: what it would run is kept, and what was kept is run where it can do no harm.
#
#   tests.sh keep KEPT PROGRAM [ARGUMENT …]   what `go test -exec` calls: keep the program, its folder and arguments
#   tests.sh run KEPT WIDTH TOP               run all that was kept, WIDTH at a time; folders are told from TOP on
set -eu

keep() {
  place=$(mktemp -d "$1/XXXXXXXXXX")
  ln "$2" "$place/program" 2>/dev/null || cp "$2" "$place/program"
  shift 2
  pwd >"$place/folder"
  printf '%s\n' "$@" >"$place/arguments"
}

run() {
  # No core files, no file above 4 GiB, no swarm of processes (shells have two letters for it).
  # shellcheck disable=SC3045
  ulimit -c 0
  ulimit -f 8388608
  # shellcheck disable=SC3045
  ulimit -u 8192 2>/dev/null || ulimit -p 8192 2>/dev/null || true
  said=$(mktemp -d)
  code=0
  # shellcheck disable=SC2011 # the names are mktemp's
  ls "$1" | xargs -r -n 1 -P "$2" sh "$0" one "$1" "$3" "$said" || code=1
  cat "$said"/* 2>/dev/null || true
  exit "$code"
}

one() {
  place="$1/$4" top="$2" said="$3/$4" code=0
  folder=$(cat "$place/folder")
  cd "$folder"
  set --
  while IFS= read -r word; do set -- "$@" "$word"; done <"$place/arguments"
  "$place/program" "$@" </dev/null >"$said.all" 2>&1 || code=$?
  if [ "$code" -eq 0 ]; then
    echo "ok .${folder#"$top"}" >"$said"
  else
    tail -c 20000 "$said.all" >"$said"
    echo "FAIL .${folder#"$top"} (exit code $code)" >>"$said"
  fi
  rm -f "$said.all"
  [ "$code" -eq 0 ]
}

what="$1"
shift
case "$what" in
keep | run | one) "$what" "$@" ;;
*) exit 2 ;;
esac

# shellcheck shell=bash
# What every set-up script shares: where the caches are, how to talk, how to create a folder in one step.

set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
CACHE="${GOPUB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gopub}"
export ROOT CACHE
mkdir -p "$CACHE"

# Trust what the machine trusts: behind a company's proxy the bundles that pip and uv bring along are not enough.
readonly SYSTEM_CERTIFICATES=/etc/ssl/certs/ca-certificates.crt
if [[ -r "$SYSTEM_CERTIFICATES" ]]; then
  export PIP_CERT="${PIP_CERT:-$SYSTEM_CERTIFICATES}" SSL_CERT_FILE="${SSL_CERT_FILE:-$SYSTEM_CERTIFICATES}"
fi

# Talk goes to stderr: a script's stdout is data (a path).
say() { printf 'set-up: %s\n' "$*" >&2; }

die() {
  say "$*"
  exit 1
}

# lock NAME: hold a lock for the rest of this process; the kernel frees it when the process ends, however it ends.
lock() {
  local descriptor
  exec {descriptor}>"$CACHE/.$1.lock"
  flock --nonblock "$descriptor" || {
    say "another set-up is busy with $1; waiting for it"
    flock "$descriptor"
  }
}

# make_once FOLDER COMMAND ...: unless FOLDER exists, run `COMMAND ... TEMPORARY` and rename TEMPORARY to FOLDER. A
# killed COMMAND leaves only a temporary folder behind, which the next call removes. The caller holds a lock.
make_once() {
  local folder="$1" temporary="$1.new"
  shift
  [[ -d "$folder" ]] && return 0
  rm -rf "$temporary"
  mkdir -p "$temporary"
  "$@" "$temporary"
  mv -T "$temporary" "$folder"
}

# The first Python of at least 3.11; the machine's own one, if it will do.
python() {
  local candidate
  for candidate in /usr/bin/python3 python3 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return 0
    fi
  done
  die "no Python 3.11 or later is on PATH"
}

# Where the environment for this checkout's requirements lies; other requirements or another Python, another folder.
venv_path() {
  local key
  key="$({
    cat "$ROOT/requirements.lock"
    readlink -f "$(python)"
  } | sha256sum)"
  printf '%s/venv-%s\n' "$CACHE" "${key:0:12}"
}

#!/usr/bin/env bash
# Installs the Debian packages that are missing; without root it says which, and goes on. `apt.sh tools`: those that only
# tests need, too.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PACKAGES=(
  python3-venv git curl ca-certificates openssl openssh-client iproute2 bubblewrap # gopub itself
  systemd-container debootstrap prometheus                                    # the lab
  nginx-light libnginx-mod-http-lua lua-cjson luajit2 ansible-core wrk procps # tests, oracles and benchmarks
  shellcheck lua-check                                                        # make check
)
[[ "${1:-}" != tools ]] || PACKAGES+=(
  postgresql redis-server # what Prefect's server runs on in production
  prometheus-alertmanager # what takes alerts from us
  busybox                 # a shell as small hosts have it
  etcd-server             # a source of route tables
  gcc libc6-dev           # what the race detector of Go needs
)

# Nothing that we install may start on this machine: gopub uses the programs, not the services. While packages are being
# installed, this file (Debian's own way) says so; one that a killed set-up left is taken away.
POLICY=/usr/sbin/policy-rc.d
MARK="# made by gopub's set-up, for as long as it installs packages"

ours() { grep --quiet --fixed-strings "$MARK" "$POLICY" 2>/dev/null; }

if ours; then
  (lock apt && rm -f "$POLICY") # whoever installs packages now holds the lock, and the file is theirs
fi

# A package that a killed installation left half-way is missing, too.
present="$(dpkg-query --show --showformat='${Package} ${db:Status-Status}\n' "${PACKAGES[@]}" 2>/dev/null || true)"
missing=()
for package in "${PACKAGES[@]}"; do
  grep --quiet --line-regexp "$package installed" <<<"$present" || missing+=("$package")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

if [[ "$EUID" -ne 0 ]]; then
  say "not root, so these Debian packages stay missing: ${missing[*]}"
  exit 0
fi

lock apt
say "installing Debian packages: ${missing[*]}"
if [[ ! -e "$POLICY" ]]; then
  trap 'rm -f "$POLICY"' EXIT
  printf '#!/bin/sh\n%s\nexit 101\n' "$MARK" >"$POLICY"
  chmod +x "$POLICY"
fi

install() {
  local apt=(apt-get --quiet=2 -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0)
  export DEBIAN_FRONTEND=noninteractive
  "${apt[@]}" update && dpkg --configure -a && "${apt[@]}" install --yes --no-install-recommends "${missing[@]}"
}

log="$CACHE/apt.log"
install >"$log" 2>&1 </dev/null || {
  tail -n 20 "$log" >&2
  die "apt-get failed; the whole of what it said is in $log"
}

for service in nginx prometheus postgresql redis-server etcd; do
  if [[ -d /run/systemd/system && " ${missing[*]} " == *" $service"* ]]; then
    systemctl disable --quiet "$service" || true
  fi
done

#!/usr/bin/env bash
# Installs the Debian packages that are missing; without root it says which, and goes on.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PACKAGES=(
  python3-venv git curl ca-certificates openssl openssh-client iproute2       # gopub itself
  systemd-container debootstrap prometheus                                    # the lab
  nginx-light libnginx-mod-http-lua lua-cjson luajit2 ansible-core wrk procps # tests, oracles and benchmarks
  shellcheck lua-check                                                        # make check
)

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

# Nothing that we install may start on this machine: gopub uses the programs, not the services.
policy=/usr/sbin/policy-rc.d
if [[ ! -e "$policy" ]]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi

lock apt
say "installing Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt=(apt-get --quiet=2 -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0)
"${apt[@]}" update >&2
dpkg --configure -a >&2
"${apt[@]}" install --yes --no-install-recommends "${missing[@]}" >&2

for service in nginx prometheus; do
  if [[ -d /run/systemd/system && " ${missing[*]} " == *" $service"* ]]; then
    systemctl disable --quiet "$service" || true
  fi
done

"""A host in a folder with two slots and the one unit; its systemd knows conditions, and a port is one process's.

As :mod:`tests.support.switching`: steps are counted where something changes, and the program can be killed at each.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

from gopub.canon import sha256
from tests.support.switching import SwitchingHost

PORTS = ("8080", "8081")
APP = r"""
# What serves, on the port that its unit names. The file "how" of its release says how it is.
here=$(readlink /proc/$$/exe); here=${here%/bin/web}
how=$(cat "$here/how" 2>/dev/null)
[ "$how" != dead ] || exit 3
take() { mkdir @W@/ports/$PORT 2>/dev/null && echo $$ >@W@/ports/$PORT/pid; }
until take; do
    holder=$(cat @W@/ports/$PORT/pid 2>/dev/null)
    case $(readlink "/proc/$holder/exe" 2>/dev/null) in @W@/*) exit 98 ;; esac
    rm -rf @W@/ports/$PORT
done
case $how in
deaf) trap '' TERM ;;
*) trap 'exit 0' TERM ;;
esac
touch @W@/sd/$UNIT/up
while :; do sleep 0.05 & wait $!; done
"""
SYSTEMCTL = r"""#!/bin/dash
PATH=/usr/bin:/bin
cd @W@/sd
verb=$1; shift
units=$(for word; do case $word in *.service | *.socket) echo $word ;; esac; done)
alive() { case $(readlink "/proc/$(cat $1/main 2>/dev/null)/exe" 2>/dev/null) in @W@/*) ;; *) return 1 ;; esac; }
may() {
    conditions=$(cat loaded/$1 loaded/$1.d/*.conf 2>/dev/null | sed -n 's/^ConditionPathExists=|//p')
    [ -n "$conditions" ] || return 0
    for path in $conditions; do [ ! -e "$path" ] || return 0; done
    return 1
}
stop() {
    alive $1 || return 0
    kill -TERM $(cat $1/main); tries=0
    while alive $1; do
        tries=$((tries + 1)); [ $tries -lt 10 ] || kill -KILL $(cat $1/main)
        sleep 0.05
    done
    : >@W@/cgroup/$1/cgroup.procs
}
start() {
    [ -e loaded/$1 ] || return 5
    mkdir -p $1 @W@/cgroup/$1
    may $1 || return 0
    ! alive $1 || return 0
    command=$(sed -n 's/^ExecStart=//p' loaded/$1)
    variables=$(sed -n 's/^Environment=//p' loaded/$1)
    od -An -N8 -tx1 /dev/urandom | tr -d ' \n' >$1/inv
    rm -f $1/up
    setsid env UNIT=$1 $variables $command </dev/null >>log 2>&1 9>&- &
    echo $! >$1/main
    echo $! >@W@/cgroup/$1/cgroup.procs
    tries=0
    until [ -e $1/up ]; do
        tries=$((tries + 1))
        [ $tries -lt 500 ] && alive $1 || { [ $tries -lt 20 ] || return 1; }
        sleep 0.01
    done
}
show() {
    if alive $1; then echo ActiveState=active; echo SubState=running; echo "MainPID=$(cat $1/main)"
    else echo ActiveState=inactive; echo SubState=dead; echo MainPID=0; fi
    echo NRestarts=0
    echo "InvocationID=$(cat $1/inv 2>/dev/null)"
    stale=no
    cmp -s loaded/$1 @W@/systemd/$1 || [ ! -e loaded/$1 ] && [ ! -e @W@/systemd/$1 ] || stale=yes
    ! diff -rN loaded/$1.d @W@/systemd/$1.d >/dev/null 2>&1 && [ -e loaded/$1.d -o -e @W@/systemd/$1.d ] && stale=yes
    echo NeedDaemonReload=$stale
    [ ! -e loaded/$1 ] || echo FragmentPath=@W@/systemd/$1
    echo ControlGroup=/$1
}
case $verb in
show)
    wanted=
    case "$*" in *--value*) for word; do case $word in [A-Z]*) wanted=$word ;; esac; done ;; esac
    if [ -n "$wanted" ]; then show $units | sed -n "s/^$wanted=//p"; else show $units; fi ;;
daemon-reload) rm -rf loaded; cp -r @W@/systemd loaded ;;
is-system-running) echo running ;;
is-enabled) [ -e enabled.$units ] ;;
is-active) alive $units ;;
enable) touch enabled.$units ;;
disable) rm -f enabled.$units ;;
reset-failed) ;;
restart) for unit in $units; do stop $unit; start $unit || exit 1; done ;;
start) for unit in $units; do start $unit || exit 1; done ;;
stop) for unit in $units; do stop $unit; done ;;
boot)
    for procs in @W@/cgroup/*/cgroup.procs; do for pid in $(cat $procs); do kill -KILL $pid 2>/dev/null; done; done
    for procs in @W@/cgroup/*/cgroup.procs; do
        for pid in $(cat $procs); do while [ -n "$(readlink /proc/$pid/exe)" ]; do sleep 0.01; done; done
        : >$procs
    done
    rm -rf @W@/slots @W@/ports/* loaded; cp -r @W@/systemd loaded
    for unit in enabled.*; do [ ! -e $unit ] || start ${unit#enabled.}; done ;;
*) echo "no $verb" >&2; exit 1 ;;
esac
"""
LISTENING = r"""
listening() { ports=$(cd @W@/ports && grep -lx "$1" */pid 2>/dev/null | sed 's#/.*##' | tr '\n' ',' | sed 's/,$//'); }
"""


class SidingHost(SwitchingHost):
    """Its folder stands for the root of the file system; the instance is ``web``."""

    def __post_init__(self) -> None:
        """Lay it out."""
        (self.root / "ports").mkdir(parents=True)
        super().__post_init__()
        (self.root / "app").write_text(APP.replace("@W@", str(self.root)))
        self._tool("real-systemctl", SYSTEMCTL)

    def _text(self) -> str:
        places = {"/run/gopub-slots": f"{self.root}/slots", "/etc/systemd/system": f"{self.root}/systemd"}
        text = super()._text()
        for there, here in places.items():
            assert there in text, there
            text = text.replace(there, here)
        end = '\nmain "$@"'
        assert end in text
        return text.replace(end, LISTENING.replace("@W@", str(self.root)) + end)

    def release(self, letter: str, *, mode: str = "side-by-side", how: str = "", **_: str) -> str:
        """A staged release, by two slots or by the one unit, which has the first port."""
        name = f"{letter * 12}-{'0' * 12}"
        place = self.home / "releases" / name
        (place / "bin").mkdir(parents=True)
        program = Path(shutil.which("dash") or "/bin/sh").read_bytes() + letter.encode()
        (place / "bin/web").write_bytes(program)
        (place / "bin/web").chmod(0o755)
        (place / "how").write_text(how)
        said = {"release": letter * 64, "render": "0" * 64, "app": "web", "binary": sha256(program)}
        units = {"web.service": PORTS[0]}
        if mode == "side-by-side":
            units = {f"web@{slot}.service": port for slot, port in zip("ab", PORTS, strict=True)}
            said |= {"mode": mode, "ports": ",".join(PORTS)}
        for unit, port in units.items():
            start = f"ExecStart={self.home}/current/bin/web {self.root}/app"
            (place / unit).write_text(f"[Service]\nType=exec\n{start}\nEnvironment=PORT={port}\n")
        (place / ".gopub-manifest").write_text("".join(f"{key}={text}\n" for key, text in said.items()))
        return name

    def alive(self) -> list[int]:
        """The processes of all its units."""
        found = [file.read_text().split() for file in (self.root / "cgroup").glob("*/cgroup.procs")]
        return sorted(int(pid) for pids in found for pid in pids if self._release_of(int(pid)))

    def serving(self) -> list[str]:
        """The releases whose processes run, by the alphabet."""
        return sorted(self._release_of(pid) for pid in self.alive())

    def boot(self) -> None:
        """The power fails, and comes back."""
        subprocess.run((str(self.root / "bin/real-systemctl"), "boot"), check=True)

    def close(self) -> None:
        """End what it started."""
        for pid in self.alive():
            os.kill(pid, signal.SIGKILL)

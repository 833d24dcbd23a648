"""A host in a folder, with a systemd that knows one unit: real processes, links and files, and a shell of choice.

Steps are counted where something changes (a rename, a link, a word to systemd), and the program can be killed at each.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gopub.canon import sha256
from gopub.fleet import program
from gopub.fleet.orders import Order, Record, Verb

MACHINE_ID = Path("/etc/machine-id").read_text().strip()
SHELLS = {"dash": ("dash",), "busybox": ("busybox", "sh")}
APP = r"""
# What serves: started by its unit, or by the process that serves. The file "how" of its release says how it is.
here=$(readlink /proc/$$/exe); here=${here%/bin/web}
case $here in */bin/interpreter) here=$(pwd -P) ;; esac
how=$(cat "$here/how" 2>/dev/null)
status() { printf '%s\n' "$1" >@W@/sd/status; }
take_in() { sha256sum <@W@/opt/web/current/config >@W@/sd/held.new && mv @W@/sd/held.new @W@/sd/held; }
case $how in dead) exit 3 ;; esac
up() {
    case $how in
    deaf) return ;;
    refuses)
        status "upgrade refused: process 7, which served before, still drains"
        return
        ;;
    esac
    (next; exec "$next" @W@/app handed $$) &
    child=$!
    [ "$(cat @W@/opt/web/current/how 2>/dev/null)" != dead ] || {
        wait $child
        status "upgrade failed: it died before it said ready"
    }
}
# A script goes to where it really lies, and stands there: what its words say is all that tells which one it is.
next() {
    next=@W@/opt/web/current/bin/web
    case $(readlink /proc/$$/exe) in */bin/interpreter)
        next=$(readlink -f $next)
        cd "${next%/bin/web}" ;;
    esac
}
trap up USR2
case $how in
keeps)
    trap take_in HUP
    take_in
    ;;
chdirs) trap next HUP ;;
*) trap 'next; exec $next @W@/app' HUP ;;
esac
trap 'exit 0' TERM
# Only now does anybody know of it: a signal that came before would end it.
echo $$ >>@W@/cgroup/web.service/cgroup.procs
if [ "${1-}" = handed ]; then
    case $how in late) sleep 0.5 ;; never) while :; do sleep 0.1; done ;; esac
    echo $$ >@W@/sd/main.$$ && mv @W@/sd/main.$$ @W@/sd/main
    case $how in crash) exit 3 ;; esac
    [ "$how" = lingers ] || kill -TERM "$2"
fi
while :; do sleep 0.05 & wait $!; done
"""
SYSTEMCTL = r"""#!/bin/dash
PATH=/usr/bin:/bin
cd @W@/sd
main=$(cat main 2>/dev/null)
alive() { [ -n "$main" ] && [ -n "$(readlink "/proc/$main/exe" 2>/dev/null)" ]; }
all() {
    for p in $(cat @W@/cgroup/web.service/cgroup.procs); do
        case $(readlink "/proc/$p/exe" 2>/dev/null) in @W@/*) echo $p ;; esac
    done
}
stop() {
    touch stopped
    for p in $(all); do kill -TERM $p 2>/dev/null; done
    tries=0
    while [ -n "$(all)" ]; do
        tries=$((tries + 1))
        [ $tries -lt 40 ] || for p in $(all); do kill -KILL $p 2>/dev/null; done
        sleep 0.05
    done
    : >@W@/cgroup/web.service/cgroup.procs
}
start() {
    [ -e loaded/web.service ] || return 5
    ! grep -q '^Requires=web.socket' loaded/web.service || [ -e listens ] || start_socket || return 1
    command=$(sed -n 's/^ExecStart=//p' loaded/web.service)
    variables=$(sed -n 's/^Environment=//p' loaded/web.service)
    od -An -N8 -tx1 /dev/urandom | tr -d ' \n' >inv
    rm -f stopped status
    cd "$(sed -n 's/^WorkingDirectory=//p' loaded/web.service)"
    setsid env $variables $command </dev/null >>@W@/sd/log 2>&1 9>&- &
    main=$!
    cd @W@/sd
    echo $main >main
    tries=0
    until grep -qx $main @W@/cgroup/web.service/cgroup.procs; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] && alive || return 1
        sleep 0.02
    done
}
start_socket() {
    [ -e loaded/web.socket ] || return 5
    if [ -e listens ]; then return 0; fi
    ! alive || return 1
    sed -n 's/^ListenStream=//p' loaded/web.socket >listens
}
needs_reload() {
    stale=yes
    [ ! -e loaded/$1 ] || { cmp -s loaded/$1 @W@/systemd/$1 && [ ! -e drop-in ]; } && stale=no
    echo NeedDaemonReload=$stale
}
verb=$1; shift
case $verb in
show)
    case "$*" in
    *StatusText*) cat status 2>/dev/null; exit 0 ;;
    web.socket*)
        if [ -e listens ]; then echo ActiveState=active; else echo ActiveState=inactive; fi
        needs_reload web.socket
        [ ! -e loaded/web.socket ] || echo FragmentPath=@W@/systemd/web.socket
        exit 0 ;;
    esac
    if alive; then echo ActiveState=active; echo SubState=running; echo "MainPID=$main"
    else echo ActiveState=failed; echo SubState=failed; echo MainPID=0; fi
    echo NRestarts=0
    echo "InvocationID=$(cat inv 2>/dev/null)"
    needs_reload web.service
    [ ! -e loaded/web.service ] || echo FragmentPath=@W@/systemd/web.service
    echo ControlGroup=/web.service
    ;;
daemon-reload) rm -f loaded/* drop-in; cp @W@/systemd/web.* loaded/ 2>/dev/null; exit 0 ;;
is-system-running) echo running ;;
is-enabled) [ -e enabled ] ;;
is-active) [ -e listens ] ;;
enable) touch enabled ;;
disable) rm -f enabled ;;
reset-failed) ;;
kill) case "$*" in *HUP*) kill -HUP "$main" ;; *) kill -USR2 "$main" ;; esac ;;
reload) grep -q '^ExecReload' loaded/web.service && kill -HUP "$main" ;;
restart) stop; start ;;
start) case "$*" in *web.socket*) start_socket ;; *) start ;; esac ;;
stop)
    case "$*" in *web.socket*)
        [ ! -e listens ] || ! grep -q '^Requires=web.socket' loaded/web.service 2>/dev/null || stop
        rm -f listens ;;
    esac
    case "$*" in *web.service*) stop ;; esac ;;
*) echo "no $verb" >&2; exit 1 ;;
esac
"""
COUNTED = r"""#!/bin/dash
n=$(($(cat @W@/steps 2>/dev/null || echo 0) + 1))
echo $n >@W@/steps
[ $n != "$(cat @W@/kill_at 2>/dev/null)" ] || { kill -9 "-$(cat @W@/group)"; exit 9; }
exec @REAL@ "$@"
"""


@dataclass
class SwitchingHost:
    """Its folder stands for the root of the file system."""

    root: Path
    shell: str = "dash"
    without: str = ""
    """A line of the program that is taken away, for a control."""
    n: int = 0
    token: str = field(default_factory=lambda: secrets.token_hex(16))

    def __post_init__(self) -> None:
        """Lay it out."""
        for place in ("opt/web/.gopub/jobs", "opt/web/releases", "opt/web/shared", "systemd", "sd/loaded", "bin"):
            (self.root / place).mkdir(parents=True)
        (self.root / "cgroup/web.service").mkdir(parents=True)
        (self.root / "cgroup/web.service/cgroup.procs").touch()
        (self.root / "app").write_text(APP.replace("@W@", str(self.root)))
        self._tool("real-systemctl", SYSTEMCTL)
        for name in ("mv", "ln", "rm"):
            self._tool(name, COUNTED.replace("@REAL@", f"/bin/{name}"))
        self._tool("systemctl", COUNTED.replace("@REAL@", f"{self.root}/bin/real-systemctl"))
        shutil.copy2(shutil.which("dash") or "/bin/sh", self.interpreter)
        for name in ("sync", "journalctl"):
            self._tool(name, "#!/bin/dash\n")
        self._tool("systemd-run", '#!/bin/dash\nuntil [ "$1" = -- ]; do shift; done\nshift\nexec "$@"\n')
        self.program = self.root / "program"
        self.program.write_text(self._text())

    def _tool(self, name: str, text: str) -> None:
        file = self.root / "bin" / name
        file.write_text(text.replace("@W@", str(self.root)))
        file.chmod(0o755)

    def _text(self) -> str:
        text = program.text()
        for there, here in {
            "home=/opt/": f"home={self.root}/opt/",
            "=/etc/systemd/system/": f"={self.root}/systemd/",
            "PATH=/usr/sbin:": f"PATH={self.root}/bin:/usr/sbin:",
            "/sys/fs/cgroup": f"{self.root}/cgroup",
            "    needs_root\n": "",
            **({self.without: "true"} if self.without else {}),
        }.items():
            assert there in text, there
            text = text.replace(there, here)
        return text

    @property
    def interpreter(self) -> Path:
        """What scripts are interpreted by."""
        return self.root / "bin/interpreter"

    @property
    def home(self) -> Path:
        """Where the instance lies."""
        return self.root / "opt/web"

    def release(
        self, letter: str, *, mode: str = "handover", unit: str = "", how: str = "", socket: str = "80", line: str = "",
        program: str = "",
    ) -> str:  # fmt: skip
        """A staged release; ``unit`` is what its unit says besides, ``how`` how its process is.

        With ``line`` it is a script that begins with that line; ``@I@`` in it stands for an interpreter. ``program`` is
        the end of its binary, by default the letter.
        """
        name = f"{letter * 12}-{'0' * 12}"
        place = self.home / "releases" / name
        (place / "bin").mkdir(parents=True)
        binary = Path(shutil.which("dash") or "/bin/sh").read_bytes() + (program or letter).encode()
        if line:
            binary = f"{line.replace('@I@', str(self.interpreter))}\n: {letter}; shift; . {self.root}/app\n".encode()
        (place / "bin/web").write_bytes(binary)
        (place / "bin/web").chmod(0o755)
        (place / "how").write_text(how)
        also = "Requires=web.socket\n" if mode == "socket" else ""
        (place / "web.service").write_text(
            f"[Unit]\n{also}[Service]\nType=notify\nExecStart={self.home}/current/bin/web {self.root}/app\n"
            "ExecReload=x\n"
            f"WorkingDirectory={self.home}{'/current' if line else ''}\nEnvironment=UNIT=is{unit}\n"
        )
        (place / "web.socket").write_text(f"[Socket]\nListenStream={socket}\n")
        said = {"release": letter * 64, "render": "0" * 64, "app": "web", "binary": sha256(binary)}
        said |= {"mode": mode} if mode != "restart" else {}
        (place / ".gopub-manifest").write_text("".join(f"{key}={text}\n" for key, text in said.items()))
        return name

    def holding(self, letter: str, text: str, *, program: str = "x", unit: str = "") -> str:
        """A staged release whose process takes in its file ``config`` at SIGHUP, and says what it holds."""
        name = self.release(letter, mode="restart", unit=unit, how="keeps", program=program)
        place = self.home / "releases" / name
        service = place / "web.service"
        service.write_text(service.read_text().replace("ExecReload=x\n", ""))
        (place / "config").write_text(text)
        sums = [f"{sha256(file.read_bytes())}  ./{file.relative_to(place)}\n" for file in sorted(place.rglob("*"))
                if file.is_file() and not file.name.startswith(".gopub")]  # fmt: skip
        (place / ".gopub-sums").write_text("".join(sums))
        (place / ".gopub-confirm").write_text(f"/bin/cat\n{self.root}/sd/held\n")
        with (place / ".gopub-manifest").open("a") as manifest:
            manifest.write("reload=config\n")
        return name

    def holds(self) -> str:
        """What the process says that it took in."""
        return (self.root / "sd/held").read_text().split()[0]

    def order(self, verb: Verb, name: str, **arguments: str) -> Order:
        """The next order."""
        self.n += 1
        release, _, render = name.partition("-")
        told = {"within": "60", **arguments}
        return Order(
            verb, "h1", MACHINE_ID, "web", "web", "prod", epoch=1, token=self.token, n=self.n,
            release=release, render=render, arguments=told,
        )  # fmt: skip

    def run(self, order: Order, *, kill_at: int = 0) -> Record | None:
        """Carry it out as a job does; None where the program was killed."""
        (self.root / "kill_at").write_text(str(kill_at))
        (self.root / "steps").write_text("0")
        (self.root / "order").write_bytes(order.lines())
        with (self.root / "errors").open("wb") as errors:
            words = map(str, (self.program, order.verb, self.root / "order", self.root / "answer"))
            ran = subprocess.Popen(
                ("dash", "-c", 'echo $$ >group; exec "$@"', "-", *SHELLS[self.shell], *words),
                stderr=errors, start_new_session=True, cwd=self.root,
            )  # fmt: skip
            code = ran.wait(300)
        (self.root / "kill_at").write_text("0")
        if code == -signal.SIGKILL:
            return None
        assert not (said := (self.root / "errors").read_text()), said
        return Record.parse((self.root / "answer").read_text(), host="h1", verb=order.verb)

    def do(self, verb: Verb, name: str, **arguments: str) -> Record:
        """The next order, carried out."""
        record = self.run(self.order(verb, name, **arguments))
        assert record is not None
        return record

    @property
    def steps(self) -> int:
        """How many the last order took."""
        return int((self.root / "steps").read_text())

    @property
    def current(self) -> str:
        """The release that the link names."""
        return str((self.home / "current").readlink()).removeprefix("releases/")

    @property
    def main(self) -> int:
        """The main process."""
        return int((self.root / "sd/main").read_text())

    def runs(self) -> str:
        """The release whose file the main process runs."""
        return self._release_of(self.main)

    def settles(self) -> str:
        """The same, once nobody is about to take over."""
        end = time.monotonic() + 30
        while (found := {self._release_of(pid) for pid in self.alive()}) != {self.runs()}:
            assert time.monotonic() < end, found
            time.sleep(0.02)
        return self.runs()

    def alive(self) -> list[int]:
        """The processes of the unit."""
        pids = {int(pid) for pid in (self.root / "cgroup/web.service/cgroup.procs").read_text().split()}
        return sorted(pid for pid in pids if self._release_of(pid))

    def _release_of(self, pid: int) -> str:
        try:
            exe = Path(f"/proc/{pid}/exe").readlink()
        except OSError:
            return ""
        if exe == self.interpreter:
            return self._of_script(pid)
        return exe.parts[-3] if exe.is_relative_to(self.root) else ""

    def _of_script(self, pid: int) -> str:
        """By the words: a path by the link is followed from where systemd started the process."""
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        path = next((word for word in words if word.endswith("/bin/web")), "")
        if path.startswith(f"{self.home}/current/"):
            return Path(f"/proc/{pid}/cwd").readlink().name
        return Path(path).parts[-3] if path else ""

    def environment(self) -> Mapping[str, str]:
        """That of the main process."""
        words = Path(f"/proc/{self.main}/environ").read_bytes().decode().split("\0")
        return dict(word.partition("=")[::2] for word in words if word)

    def whole(self) -> None:
        """Whatever starts the service now, from the disk or from what systemd has read, starts one release whole."""
        for folder in ("systemd", "sd/loaded"):
            file = self.root / folder / "web.service"
            if not file.exists():
                continue
            text = file.read_text().partition("\n")[2]
            found = next(line for line in text.splitlines() if line.startswith("ExecStart=")).split("=")[1].split()[0]
            release = Path(os.path.realpath(found)).parts[-3]
            raw = (self.home / "releases" / release / "web.service").read_text()
            pinned = text.replace(f"{self.home}/releases/{release}", f"{self.home}/current").rstrip()
            assert pinned == raw.rstrip(), (folder, text, raw)

    def is_one(self) -> str:
        """Check that what serves, what the link names and how it was started are one release; gives it."""
        release = self.settles()
        assert release == self.current
        raw = (self.home / "releases" / release / "web.service").read_text()
        assert f"Environment=UNIT={self.environment()['UNIT']}\n" in raw
        self.whole()
        return release

    def close(self) -> None:
        """End what it started."""
        for pid in self.alive():
            os.kill(pid, signal.SIGKILL)

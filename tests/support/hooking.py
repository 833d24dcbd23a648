"""A host in a folder, as in `switching`, whose systemd also runs hooks, one at a time, and what comes after them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gopub.canon import sha256
from gopub.fleet.orders import Order, Record
from tests.support.switching import SHELLS, SwitchingHost

RUN = r"""#!/bin/dash
PATH=/usr/bin:/bin
printf '%s\n' "$@" >@W@/sd/told
while [ $# -gt 0 ]; do
    case $1 in
    --property=ExecStopPost=*) then=${1#--property=ExecStopPost=+/bin/sh -c } ;;
    --) shift && break ;;
    esac
    shift
done
left=$#
while [ $left -gt 0 ]; do
    set -- "$@" "$(printf %s "$1" | sed 's/\$\$/$/g')"
    shift
    left=$((left - 1))
done
setsid "$@" </dev/null >>@W@/sd/log 2>&1 9>&- &
pid=$!
echo $pid >@W@/sd/hook.new && mv @W@/sd/hook.new @W@/sd/hook
wait $pid
code=$?
SERVICE_RESULT=success EXIT_STATUS=$code
[ $code != 143 ] || EXIT_STATUS=TERM
case $code in 0 | 143) ;; *) SERVICE_RESULT=exit-code ;; esac
export SERVICE_RESULT EXIT_STATUS
eval "sh -c $(printf %s "$then" | sed 's/\$\$/$/g')"
rm -f @W@/sd/hook
[ $code = 0 ]
"""
CONTROL = r"""#!/bin/dash
PATH=/usr/bin:/bin
case "$*" in
"show gopub-web-hook-"*) if [ -e @W@/sd/hook ]; then echo ActiveState=active; else echo ActiveState=inactive; fi ;;
"stop gopub-web-hook-"*)
    kill -TERM "-$(cat @W@/sd/hook)"
    while [ -e @W@/sd/hook ]; do sleep 0.05; done ;;
*) exec @W@/bin/unit-systemctl "$@" ;;
esac
"""


class HookingHost(SwitchingHost):
    """Its releases can be asked for hooks."""

    def __post_init__(self) -> None:
        """Lay it out."""
        super().__post_init__()
        (self.root / "bin/real-systemctl").rename(self.root / "bin/unit-systemctl")
        self._tool("real-systemctl", CONTROL)
        self._tool("systemd-run", RUN)

    def sealed(self, letter: str, **said: str) -> str:
        """A staged release, with the sums of its files."""
        name = self.release(letter, **said)
        self.seal(name)
        return name

    def seal(self, name: str) -> None:
        """Write the sums of its files."""
        place = self.home / "releases" / name
        files = [file for file in sorted(place.rglob("*")) if file.is_file() and file.name[:6] != ".gopub"]
        sums = "".join(f"{sha256(file.read_bytes())}  ./{file.relative_to(place)}\n" for file in files)
        (place / ".gopub-sums").write_text(sums)

    def hook(self, name: str, words: Sequence[str], run: str, **arguments: str) -> Order:
        """The next order: these words, for that run of the hook `expand`."""
        told = {"hook": "expand", "id": run, **{f"word.{n}": word for n, word in enumerate(words)}, **arguments}
        order = self.order("hook", name, **told)
        return replace(order, digests={"binary": sha256((self.home / "releases" / name / "bin/web").read_bytes())})

    def begin(self, order: Order) -> subprocess.Popen[bytes]:
        """Carry it out beside others; `answer` waits for it."""
        self.file(order, "order").write_bytes(order.lines())
        words = map(str, (self.program, order.verb, self.file(order, "order"), self.file(order, "answer")))
        return subprocess.Popen((*SHELLS[self.shell], *words), cwd=self.root, start_new_session=True)

    def answer(self, order: Order, carried: subprocess.Popen[bytes]) -> Record:
        """What it came to."""
        carried.wait(300)
        return Record.parse(self.file(order, "answer").read_text(), host="h1", verb=order.verb)

    def file(self, order: Order, what: str) -> Path:
        """Where the order or its answer lies."""
        return self.root / f"{what}.{order.n}"

    @property
    def busy(self) -> bool:
        """Whether a hook runs."""
        return (self.root / "sd/hook").exists()

    def close(self) -> None:
        """End what it started."""
        if self.busy:
            subprocess.run(("kill", "-KILL", f"-{(self.root / 'sd/hook').read_text().strip()}"), check=False)
        super().close()

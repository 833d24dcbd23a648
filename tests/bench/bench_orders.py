"""What the checks of a signed order cost an enrolled host: processor time, in verifications by openssl.

    PYTHONPATH=. python tests/bench/bench_orders.py

The same order goes to the program of an enrolled host, and unsigned to the one that is sent to any other; the fence of
both refuses it as old, behind the lock. What the first one takes more is the checks: reading and verifying the head,
whom it is for, in user and system time of all processes (the nonce's check starts none). The sides take turns, and the
figure is the median of ratios to one ``openssl dgst -verify`` of the same lines. Stage and switch also bring an
admission, a second verification: the order that brings one is refused by the last of its checks.
"""

from __future__ import annotations

import resource
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

from gopub.cli.saying import say
from gopub.fleet.signed import DOMAIN, lines_v2, signed_lines
from tests.support.admitting_host import ARCHIVE, BINARY, GOOD, RELEASE, carried
from tests.support.enrolled import SHELLS, EnrolledHost

ROUNDS = 40
GOAL = 4.2  # 15 ms where a verification takes 3.6 ms


def spent(work: Callable[[], object]) -> float:
    """Processor seconds of the processes that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def verification(host: EnrolledHost, lines: bytes) -> Callable[[], object]:
    """``openssl dgst -verify`` of the same lines."""
    signed, signature = host.folder / "signed", host.folder / "signature"
    signed.write_bytes(DOMAIN + lines)
    signature.write_bytes(host.signer.sign(DOMAIN + lines))
    key = host.believe(host.signer)
    argv = ("openssl", "dgst", "-sha256", "-verify", key, "-signature", signature, signed)
    return lambda: subprocess.run(argv, capture_output=True, check=True)


def admitted(host: EnrolledHost) -> bytes:
    """An order to stage with a true admission, of an epoch that has not come."""
    host.believe(host.admission, "admission")
    machine = subprocess.run(("uname", "-m"), capture_output=True, check=True, text=True).stdout.strip()
    target = "linux/" + {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    digests = {"archive": ARCHIVE, "binary": BINARY, "files": "5" * 64}
    order = host.order("stage", epoch=9, n=2, release=RELEASE, render="b" * 64, digests=digests)
    order = replace(order, admission=carried(host.admission, replace(GOOD, target=target, serial=19)))
    return signed_lines(order, host.key, host.given(order))


def measured(shell: str, folder: Path) -> str:
    """One shell's figures, for people."""
    host = EnrolledHost(folder)
    if not host.obey(host.order("prune", epoch=9), shell=shell).ok:
        raise SystemExit("the host takes no order")
    order = host.order("verify", release="a" * 64, render="b" * 64, arguments={"health": "http://127.0.0.1/"})
    head, unsigned = signed_lines(order, host.key, host.given(order)), order.lines()
    sent = (*SHELLS[shell], "-c", host.plain(), "gopub", "verify")
    unpinned = subprocess.run(sent, input=unsigned, capture_output=True, check=False)
    for out in (host.say(head, shell=shell).stdout, unpinned.stdout):
        if b"code=GP431" not in out:
            raise SystemExit(f"control: the order did not come to the fence: {out.decode()}")
    entering = admitted(host)
    if b"code=GP471" not in host.say(entering, shell=shell).stdout:
        raise SystemExit("control: the admission did not come to its last check")
    verify = verification(host, lines_v2(order, "cd" * 16))
    checks, whole, both = [], [], []
    for _ in range(ROUNDS):
        unit = spent(verify)
        signed = spent(lambda: host.say(head, shell=shell))
        plain = spent(lambda: subprocess.run(sent, input=unsigned, capture_output=True, check=False))
        checks.append((signed - plain) / unit)
        whole.append(signed / unit)
        both.append((spent(lambda: host.say(entering, shell=shell)) - plain) / unit)
    return (
        f"{shell}: the checks of a signed order take {median(checks):.1f} verifications of openssl (goal {GOAL}); "
        f"with an admission {median(both):.1f}; all of an order, up to its refusal by the fence, {median(whole):.1f}"
    )


def main() -> None:
    """Measure and say."""
    for shell in SHELLS:
        with tempfile.TemporaryDirectory() as name:
            say(measured(shell, Path(name) / "host"))


if __name__ == "__main__":
    main()

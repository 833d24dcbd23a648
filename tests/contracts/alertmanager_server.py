"""A real Alertmanager on a loopback port of its own choice, asked by its API; ended by its pid."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gopub.process import base_environment

CONFIG = "route: {receiver: nobody, group_by: ['...'], group_wait: 1s}\nreceivers: [{name: nobody}]\n"
_LISTENS = re.compile(r'msg="Listening on" address=(\S+)')


@dataclass
class Server:
    """One that runs."""

    process: subprocess.Popen[bytes]
    url: str

    def alerts(self) -> list[Mapping[str, Any]]:
        """Those that fire."""
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts", timeout=30) as answer:  # noqa: S310 - our own loopback
            found: list[Mapping[str, Any]] = json.load(answer)
        return found

    def leave(self) -> None:
        self.process.terminate()
        self.process.wait(60)


@contextmanager
def alertmanager(home: Path, config: str = CONFIG, flags: Sequence[str] = ()) -> Iterator[Server]:
    """One of its own while the body runs."""
    (home / "alertmanager.yml").write_text(config, encoding="utf-8")
    said = home / "alertmanager.log"
    with said.open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus-alertmanager",
                f"--config.file={home / 'alertmanager.yml'}",
                f"--storage.path={home / 'alertmanager'}",
                "--cluster.listen-address=",
                "--web.listen-address=127.0.0.1:0",
                *flags,
            ],
            env=base_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield Server(process, f"http://{_address(process, said)}")
    finally:
        process.terminate()
        process.wait(60)


def _address(process: subprocess.Popen[bytes], said: Path) -> str:
    """Where it listens, as it says: it chooses the port itself, so that no other test may have it."""
    for _ in range(600):
        if found := _LISTENS.search(said.read_text(encoding="utf-8")):
            return found[1]
        assert process.poll() is None, said.read_text(encoding="utf-8")[-2000:]
        time.sleep(0.1)
    raise AssertionError(f"Alertmanager did not begin to listen:\n{said.read_text(encoding='utf-8')[-2000:]}")

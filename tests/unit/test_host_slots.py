"""What a host decides of two slots, by the program's own text: where it asks, and how much memory there is."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "gopub/fleet/program"
MIB = 2**20


def said(script: str, root: Path | None = None) -> str:
    """What these functions make of it."""
    text = "".join((PROGRAM / part).read_text() for part in ("base.sh", "order.sh", "mode_side.sh", "memory.sh"))
    text = text.replace("/sys/fs/cgroup", f"{root}/cgroup")
    shell = shutil.which("dash") or "sh"
    return subprocess.run((shell, "-c", text + script), capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://127.0.0.1:8080/healthz", "http://127.0.0.1:8081/healthz"),
        ("http://127.0.0.1:08080/healthz", "http://127.0.0.1:8081/healthz"),
        ("http://127.0.0.1/healthz", "http://127.0.0.1:8081/healthz"),
        ("https://localhost:8080?at=:8080/", "https://localhost:8081?at=:8080/"),
        ("http://[::1]:8080/x", "http://[::1]:8081/x"),
        ("http://[fe80:8080::1]/x", "http://[fe80:8080::1]:8081/x"),
        ("http://[fe80::1:8080]:9/x", "http://[fe80::1:8080]:8081/x"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8081"),
    ],
)
def test_the_health_check_is_asked_at_the_slot_however_its_port_is_written(url: str, asked: str) -> None:
    """An answer of the process beside it would be a proof of nothing."""
    ask = f"m_ports=8080,8081 o_arg_health='{url}' o_arg_port=8080; slot=b; at_slot; echo $o_arg_health $o_arg_port"
    assert said(ask) == f"{asked} 8081"
    assert said(f"{ask}; slot=; at_slot; echo $o_arg_health") == f"{asked} 8081\n{url}", "control: no slot, no change"


def laid(root: Path, files: dict[str, object]) -> Path:
    for name, content in files.items():
        file = root / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")
    return root


GROUP = "/system.slice/app.slice"


@pytest.mark.parametrize(
    ("files", "room"),
    [
        ({}, ""),
        ({"memory.max": "max", "system.slice/memory.max": "max", "system.slice/memory.current": 5 * MIB}, ""),
        ({"system.slice/memory.max": 9 * MIB, "system.slice/memory.current": 5 * MIB}, 4 * MIB),
        ({"system.slice/memory.high": 7 * MIB, "system.slice/memory.max": 9 * MIB,
          "system.slice/memory.current": 5 * MIB, "system.slice/memory.stat": f"anon 7\ninactive_file {MIB}"}, 3 * MIB),
        ({"memory.max": 2 * MIB, "memory.current": 3 * MIB, "system.slice/memory.max": 9 * MIB}, 0),
        ({"memory/system.slice/app.slice/memory.limit_in_bytes": 9 * MIB,
          "memory/system.slice/app.slice/memory.usage_in_bytes": 5 * MIB,
          "memory/system.slice/app.slice/memory.stat": f"inactive_file 1\ntotal_inactive_file {2 * MIB}",
          "memory/memory.limit_in_bytes": 9223372036854771712, "memory/memory.usage_in_bytes": 5 * MIB}, 6 * MIB),
    ],
)  # fmt: skip
def test_a_slice_or_a_container_may_have_less_memory_than_the_machine(
    tmp_path: Path, files: dict[str, object], room: object
) -> None:
    assert said(f"room_in {GROUP}", laid(tmp_path, files)) == str(room)

"""What the host program reads of cgroups, in both of their versions, and of an environment that means no good."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import pytest

SH = shutil.which("dash") or "/bin/sh"
GROUP = "/system.slice/web.service"
AT = {
    "v2": {"memory.max": "{memory}", "pids.max": "64", "cpu.max": "200000 100000"},
    "v1": {"memory/memory.limit_in_bytes": "{memory}", "pids/pids.max": "64", "cpu/cpu.cfs_quota_us": "200000",
           "cpu/cpu.cfs_period_us": "100000"},
    "none": {},
    "no limit": {"memory.max": "max", "pids.max": "max", "cpu.max": "max 100000"},
    "no limit in v1": {"memory/memory.limit_in_bytes": "9223372036854771712", "pids/pids.max": "max",
                       "cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
}  # fmt: skip


def ask(tmp: Path, listing: str, tree: Mapping[str, str], environ: bytes = b"") -> dict[str, str]:
    """What is found of each name, with `bad` and `why`; /sys and /proc are folders here."""
    for name, text in tree.items():
        part, _, leaf = name.rpartition("/")
        place = tmp / "sys/fs/cgroup" / part / GROUP.lstrip("/") / leaf
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text + "\n")
    (tmp / "proc/7").mkdir(parents=True)
    (tmp / "proc/7/environ").write_bytes(environ)
    (tmp / "rel/x").mkdir(parents=True)
    (tmp / "rel/x/web.runtime").write_text(listing)
    parts = (files("gopub.fleet.program") / f"{part}.sh" for part in ("base", "verify", "runtime"))
    program = "".join(part.read_text() for part in parts)
    program = program.replace("/sys/fs", f"{tmp}/sys/fs").replace("/proc/$u_pid", f"{tmp}/proc/$u_pid")
    rest = f"""
        dir=x current=x releases={tmp}/rel o_instance=web unit=web.service u_pid=7
        u_cgroup={GROUP} bad='' why='' hopeless=''
        look_runtime
        runtime_values
        printf '%sbad=%s\\nwhy=%s\\nhopeless=%s\\n' "$values" "$bad" "$why" "$hopeless" """
    done = subprocess.run((SH, "-c", program + rest), capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


LIMITS = "limit memory=1000000000\nlimit tasks=64\nlimit cpu=200\n"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_limits_of_a_cgroup_are_read_in_both_versions(tmp_path: Path, version: str) -> None:
    tree = {name: text.format(memory=999997440) for name, text in AT[version].items()}  # whole pages
    told = ask(tmp_path, LIMITS, tree)
    assert told == {"value.limit.memory": "999997440", "value.limit.tasks": "64", "value.limit.cpu": "200",
                    "bad": "", "why": "", "hopeless": ""}  # fmt: skip


@pytest.mark.parametrize("version", ["none", "no limit", "no limit in v1"])
@pytest.mark.parametrize("name", ["memory", "tasks", "cpu"])
def test_a_limit_that_is_not_held_is_told(tmp_path: Path, version: str, name: str) -> None:
    line = next(line for line in LIMITS.splitlines() if name in line)
    told = ask(tmp_path, f"{line}\n", AT[version])
    assert told["bad"] == "GP572"
    assert told["why"].startswith(f"the limit {name} of web.service is ")
    assert told["hopeless"] == "1", "waiting does not help"


def test_one_page_less_is_the_same_and_more_is_not(tmp_path: Path) -> None:
    assert ask(tmp_path, LIMITS.splitlines()[0] + "\n", {"memory.max": "999900000"})["bad"] == "GP572"


@pytest.mark.parametrize(
    ("environ", "found", "good"),
    [
        (b"A=1\0WORD=8\0B=2\0", "8", True),
        (b"WORD=8\0", "8", True),
        (b"A=1\nWORD=8\0", "", False),  # a line in another variable's value
        (b"XWORD=8\0", "", False),
        (b"WORD=9\0WORD=8\0", "9", False),  # programs get the first
        (b"WORD=\0", "", False),
        (b"WORD=8\n\0", "8 ", False),
        (b"", "", False),
    ],
)
def test_a_variable_is_the_one_that_the_program_gets(tmp_path: Path, environ: bytes, found: str, good: bool) -> None:
    told = ask(tmp_path, "variable WORD=8\n", {}, environ)
    assert (told["value.runtime.WORD"], told["bad"]) == (found, "" if good else "GP572")


def test_an_empty_variable_is_one_and_no_other_is_told(tmp_path: Path) -> None:
    told = ask(tmp_path, "variable EMPTY=\n", {}, b"SECRET=hunter2\0EMPTY=\0")
    assert told == {"value.runtime.EMPTY": "", "bad": "", "why": "", "hopeless": ""}
    told = ask(tmp_path / "b", "variable GONE=\n", {}, b"SECRET=hunter2\0")
    assert told["why"] == "the variable GONE of process 7 is not set, not "


def test_a_name_that_is_none_reads_nothing(tmp_path: Path) -> None:
    told = ask(tmp_path, "variable .*=x\nvariable S;p=x\nother A=1\nlimit moon=1\n", {}, b"SECRET=hunter2\0A=1\0")
    assert told == {"bad": "", "why": "", "hopeless": ""}

"""Each host of a lab has a control group of its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

from gopub.lab import cgroup

LEGACY = """\
25 20 0:22 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
26 25 0:23 / /sys/fs/cgroup/memory rw,relatime shared:4 - cgroup cgroup rw,memory
27 25 0:24 / /sys/fs/cgroup/systemd rw,relatime shared:5 - cgroup cgroup rw,xattr,name=systemd
28 25 0:25 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
"""
UNIFIED = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"


def test_the_trees_are_those_that_systemd_puts_units_in() -> None:
    assert cgroup.trees(LEGACY) == (Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified"))
    assert cgroup.trees(UNIFIED) == (Path("/sys/fs/cgroup"),)
    assert cgroup.trees("21 20 0:5 / /proc rw - proc proc rw\n") == ()


def test_a_command_joins_the_groups_and_then_becomes_itself(tmp_path: Path) -> None:
    groups = (tmp_path / "a", tmp_path / "b")
    for group in groups:
        group.mkdir()
    argv = cgroup.within(groups, ("sh", "-c", 'echo "$$ $1"', "sh", "two words"))
    pid, said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.rstrip("\n").split(" ", 1)
    assert said == "two words"
    assert [(group / "cgroup.procs").read_text() for group in groups] == [f"{pid}\n"] * 2


def test_without_groups_the_command_is_what_it_was() -> None:
    argv = cgroup.within((), ("printf", "%s", "--"))
    assert subprocess.run(argv, check=True, capture_output=True, text=True).stdout == "--"

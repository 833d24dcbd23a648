"""What a file is for a machine, by how it begins. Pure."""

from __future__ import annotations

from gopub.build.target import Target

LARGEST = 1 << 30
"""Bytes of a program."""
_MACHINES = {
    "386": (1, "little", 3), "amd64": (2, "little", 62), "arm": (1, "little", 40), "arm64": (2, "little", 183),
    "loong64": (2, "little", 258), "mips": (1, "big", 8), "mipsle": (1, "little", 8), "mips64": (2, "big", 8),
    "mips64le": (2, "little", 8), "ppc64": (2, "big", 21), "ppc64le": (2, "little", 21), "riscv64": (2, "little", 243),
    "s390x": (2, "big", 22),
}  # fmt: skip
"""Go's names of machines: the class, the order of bytes and the number that an ELF file says."""


def no_program(head: bytes, size: int, target: Target) -> str:
    """Why what begins so is no program for that target; empty where it is one."""
    if size > LARGEST:
        return f"has {size} bytes, {LARGEST} are the most"
    if head.startswith(b"#!/"):
        return ""
    if target.os != "linux":
        return "" if head else "is empty"
    if not head.startswith(b"\x7fELF") or len(head) < 20:
        return "is neither an ELF program nor a script that begins with #! and a path"
    machine = _MACHINES.get(target.arch)
    order = "little" if head[5] == 1 else "big"
    found = (head[4], order, int.from_bytes(head[18:20], "little" if head[5] == 1 else "big"))
    return "" if machine in {None, found} else f"is a program for another machine than {target.arch}"

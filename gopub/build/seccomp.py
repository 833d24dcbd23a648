"""What no namespace closes: calls of the kernel whose other end is this machine's, refused in the sandbox.

Keyrings of the kernel are inherited, and belong to a user by number: what runs in a namespace of users finds the keys
of whoever started it. A socket of the kind ``vsock`` leads from a virtual machine to its host, past all namespaces of
network. The filter answers both as a kernel would that has neither; Go and every common program go on without.

It is a program of classic BPF over ``struct seccomp_data``: the number of the call at 0, the machine at 4, the lower
half of the first argument at 16 (all that are known put the least significant byte first).
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass

_LOAD, _EQUAL, _AND, _RETURN = 0x20, 0x15, 0x54, 0x06
_NUMBER, _MACHINE, _FIRST = 0, 4, 16
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_X32 = 0x40000000
_VSOCK = 40


@dataclass(frozen=True, slots=True)
class Calls:
    """A kind of machine as the kernel numbers it, and its calls: ``add_key``, ``request_key`` and ``keyctl``."""

    machine: int
    keys: tuple[int, int, int]
    sockets: tuple[int, ...]
    any_socket: tuple[int, ...] = ()
    """Calls that make a socket of a kind that a filter cannot see."""


KNOWN = (
    Calls(0xC000003E, (248, 249, 250), (41, 53)),  # x86-64, and x32 with one bit more
    Calls(0x40000003, (286, 287, 288), (359, 360), (102,)),  # i386
    Calls(0xC00000B7, (217, 218, 219), (198, 199)),  # aarch64
    Calls(0x40000028, (309, 310, 311), (281, 288)),  # arm
    Calls(0xC00000F3, (217, 218, 219), (198, 199)),  # riscv64
    Calls(0xC0000102, (217, 218, 219), (198, 199)),  # loongarch64
    Calls(0xC0000015, (269, 270, 271), (326, 333), (102,)),  # ppc64le
)
"""On a machine of another kind every call is refused: nothing starts there, and that is told as a sandbox not had."""


def program() -> bytes:
    """The filter, as bubblewrap's ``--seccomp`` reads it."""
    parts = [_step(_LOAD, _MACHINE)]
    for calls in KNOWN:
        body = _of(calls)
        # A jump has eight bits, and a body is far shorter.
        parts += [_step(_EQUAL, calls.machine, 0, len(body)), *body]
    return b"".join([*parts, _step(_RETURN, _ERRNO | errno.ENOSYS)])


def _of(calls: Calls) -> list[bytes]:
    """The filter for one kind of machine; it always returns."""
    parts = [_step(_LOAD, _NUMBER), _step(_AND, ~_X32 & 0xFFFFFFFF)]
    for number in (*calls.keys, *calls.any_socket):
        parts += [_step(_EQUAL, number, 0, 1), _step(_RETURN, _ERRNO | errno.ENOSYS)]
    for number in calls.sockets:
        refused = [
            _step(_LOAD, _FIRST),
            _step(_EQUAL, _VSOCK, 0, 1),
            _step(_RETURN, _ERRNO | errno.EAFNOSUPPORT),
            _step(_RETURN, _ALLOW),
        ]
        parts += [_step(_EQUAL, number, 0, len(refused)), *refused]
    return [*parts, _step(_RETURN, _ALLOW)]


def _step(code: int, value: int, if_so: int = 0, if_not: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_so, if_not, value)

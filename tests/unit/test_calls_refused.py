"""The filter of calls, run as the kernel runs it: keys and vsock are refused on every kind of machine, nothing else."""

from __future__ import annotations

import errno
import struct

import pytest

from gopub.build.seccomp import KNOWN, Calls, program

ALLOWED = 0x7FFF0000
VSOCK, UNIX, INET = 40, 1, 2


def answer(machine: int, number: int, first: int = 0) -> int:
    """What the filter says to one call: 0, or the number of the error."""
    data = struct.pack("=IIQ6Q", number, machine, 0, first, 0, 0, 0, 0, 0)
    steps = list(struct.iter_unpack("=HBBI", program()))
    held = at = 0
    while True:
        code, if_so, if_not, value = steps[at]
        at += 1
        if code == 0x20:
            (held,) = struct.unpack_from("=I", data, value)
        elif code == 0x54:
            held &= value
        elif code == 0x15:
            at += if_so if held == value else if_not
        else:
            assert code == 0x06
            return 0 if value == ALLOWED else value & 0xFFFF


@pytest.mark.parametrize("calls", KNOWN, ids=lambda calls: hex(calls.machine))
def test_keys_and_vsock_are_refused_and_nothing_else(calls: Calls) -> None:
    for number in (*calls.keys, *calls.any_socket):
        assert answer(calls.machine, number) == errno.ENOSYS
    for number in calls.sockets:
        assert answer(calls.machine, number, VSOCK) == errno.EAFNOSUPPORT
        assert [answer(calls.machine, number, kind) for kind in (UNIX, INET)] == [0, 0]
    others = set(range(500)) - {*calls.keys, *calls.any_socket}
    assert {answer(calls.machine, number) for number in others} == {0}


def test_the_other_numbers_of_x32_are_no_way_round() -> None:
    assert answer(0xC000003E, 0x40000000 | 250) == errno.ENOSYS
    assert answer(0xC000003E, 0x40000000 | 1) == 0


def test_on_an_unknown_kind_of_machine_nothing_runs() -> None:
    assert {answer(0x1234, number) for number in range(500)} == {errno.ENOSYS}

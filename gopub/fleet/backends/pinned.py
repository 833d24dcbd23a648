"""How a channel speaks to an enrolled host: whether it is one, the nonces that it gave, and signed orders."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from gopub.errors import GopubError
from gopub.fleet.backends.presence import insist_none
from gopub.fleet.backends.stream import KILLED
from gopub.fleet.orders import Order, Record, Verb
from gopub.fleet.program import INSTALLED
from gopub.fleet.protocol import Payload
from gopub.fleet.signed import OrderKey, signed_lines
from gopub.process import Result
from gopub.telemetry import log

STALE = frozenset({"GP463", "GP464"})
"""Refusals of a nonce: asked for a new one, the same order counts."""
REVOKED = "GP461"
"""The refusal of a key that is no controller's any more."""
ONCE: frozenset[Verb] = frozenset({"adopt", "disown", "table-put"})
"""Verbs without a fence: each order has a token of its own, and a nonce that counts once."""
WITHOUT: frozenset[Verb] = frozenset({"facts", "status", "logs", "table-get", "heads"})
"""Verbs that change nothing, and need no nonce."""
MOST_NONCES = 64
_BEGIN, _END = b"gopub-record=1\n", b"\nend=1\n"
_log = log("fleet.pinned")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the host program printed: its record, what stands behind it, and how it ended."""

    record: Record
    behind: bytes
    result: Result

    def raw(self, argv: Sequence[str]) -> Result:
        """What the verb's own program left, as if ``argv`` had been run.

        Raises:
            GopubError: the record's own code when the order was refused; GP416 not all of it came.
        """
        if not self.record.ok:
            raise self.record.error()
        said, host = self.record.values, self.record.host
        try:
            code, out, err = (int(said[name]) for name in ("exit", "out", "err"))
        except (KeyError, ValueError) as error:
            raise GopubError("GP416", f"{host}: {self.record.verb}: its record does not say what follows it") from error
        if len(self.behind) != out + err:
            came = f"{len(self.behind)} of {out + err} bytes came after its record"
            raise GopubError("GP416", f"{host}: {self.record.verb}: {came}", hint="ask the host again")
        return Result(tuple(argv), code, self.behind[:out], self.behind[out:])


@dataclass(slots=True)
class Pinned:
    """One host, as far as it is known: ``enrolled`` is None until it was asked, ``traces`` whether it takes a trace.

    ``talk`` runs a program there; ``nonces`` are those that the host gave, by instance, epoch and token.
    """

    host: str
    key: OrderKey
    talk: Callable[[Sequence[str], Payload], Awaitable[Result]]
    enrolled: bool | None = None
    machine_id: str = ""
    traces: bool = False
    nonces: dict[tuple[str, int, str], str] = field(default_factory=dict)

    async def is_enrolled(self, order: Order) -> bool:
        """Whether the host has a program of its own; asked once, with the first order that there is.

        Raises:
            ConnectionError: the connection, or what was asked, ended before it answered.
            GopubError: GP416 it answers nothing that one can understand.
        """
        if self.enrolled is None:
            asked = _facts_for(order)
            result = await self._send(asked, "")
            if b"gopub-record=" not in result.out and result.code != KILLED:
                await insist_none(self.host, order.verb, result, self.talk)
                self.enrolled = False
            else:
                self._note(asked, heard_of(asked, result).record)
        return bool(self.enrolled)

    def anew(self) -> None:
        """The connection is a new one: what was no enrolled host may be one by now."""
        self.enrolled = self.enrolled or None

    async def carry_out(self, order: Order, payload: Payload) -> Answer:
        """Send it signed; a nonce that counts no more is asked for anew, once."""
        order = self._whole(order)
        answer = heard_of(order, await self._send(order, await self._nonce(order), payload))
        if answer.record.code in STALE:
            _log.info("%s: asked for another nonce after %s", self.host, answer.record.code)
            self.nonces.pop(_seat(order), None)
            answer = heard_of(order, await self._send(order, await self._nonce(order), payload))
        elif answer.record.code == REVOKED and self._other_key():
            _log.info("%s: signed anew with key %s", self.host, self.key.fingerprint[:16])
            self.nonces.pop(_seat(order), None)
            answer = heard_of(order, await self._send(order, await self._nonce(order), payload))
        return answer

    def _other_key(self) -> bool:
        """Whether another key lies where ours was read: it was rotated under way. It signs from now on."""
        try:
            other = self.key.anew() if self.key.anew else self.key
        except GopubError as error:  # the refusal says more than that
            _log.warning("%s: its key of orders was refused, and cannot be read anew: %s", self.host, error.problem)
            return False
        found, self.key = other.fingerprint != self.key.fingerprint, other
        return found

    async def _send(self, order: Order, nonce: str, payload: Payload = ()) -> Result:
        return await self.talk((INSTALLED,), (signed_lines(order, self.key, nonce), *payload))

    async def _nonce(self, order: Order) -> str:
        """Empty where the order needs none, and where the host gives none: it will say of the order why."""
        if order.verb in WITHOUT:
            return ""
        if _seat(order) not in self.nonces:
            asked = _facts_for(order)
            self._note(asked, heard_of(asked, await self._send(asked, "")).record)
        return (self.nonces.pop if order.verb in ONCE else self.nonces.get)(_seat(order), "")

    def _whole(self, order: Order) -> Order:
        """With what the caller left to us: the machine id, and for an order without a fence a token of its own.

        A program that was laid by an older gopub knows no trace, and would refuse an order for a line that only tells.
        """
        trace = order.trace if self.traces else ""
        order = replace(order, machine_id=order.machine_id or self.machine_id, trace=trace)
        return replace(order, epoch=0, token=secrets.token_hex(16)) if order.verb in ONCE else order

    def _note(self, asked: Order, record: Record) -> None:
        # At that place lies nothing but the program of an enrolled host; what it refuses it refuses as such a one.
        self.enrolled = not record.ok or record.values.get("enrolled") == "1"
        self.machine_id = record.values.get("machine_id", self.machine_id)
        self.traces = self.traces or record.values.get("traces") == "1"
        if len(self.nonces) >= MOST_NONCES:  # a driver has one seat; who lives long forgets the older ones
            self.nonces.clear()
        self.nonces[_seat(asked)] = record.values.get("nonce", "")


def _seat(order: Order) -> tuple[str, int, str]:
    return order.instance, order.epoch, order.token


def _facts_for(order: Order) -> Order:
    """What is asked before that order: facts, and a nonce for its epoch and token."""
    return Order("facts", order.host, "", order.instance, order.app, order.env, order.epoch, order.token)


def hello_of(host: str) -> Order:
    """What a host is asked first where nothing else is asked of it: whether it is enrolled."""
    return Order("facts", host, "", "gopub", "gopub", "")


def heard_of(order: Order, result: Result) -> Answer:
    """The record that the host program printed, and what it printed behind it.

    Raises:
        ConnectionResetError: the program was killed; whoever asks again gets to know what it did.
        GopubError: GP416 there is no whole record.
    """
    before, begin, rest = result.out.partition(_BEGIN)
    if begin:
        record, end, behind = rest.partition(_END)
        told = (before + begin + record + end).decode(errors="replace")
        return Answer(Record.parse(told, host=order.host, verb=order.verb), behind, result)
    if result.code == KILLED:
        raise ConnectionResetError("the host program was killed")
    raise GopubError(
        "GP416",
        f"{order.host}: {order.verb}: the host program answered nothing (exit {result.code}): "
        f"{result.complaint or 'it was silent'}",
        hint="it needs root (ansible_become or sudo: true), sh and systemd",
    )

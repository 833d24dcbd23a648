"""What a host is told and what it answers: orders, records, and which orders a host still needs.

Pure. The wire form of an order is ``key=value`` lines up to an empty line; a record comes back the same way
(docs/reference/host-program.md). Values are single lines: a control character is refused, not quoted, so that
nothing that a team or an inventory says can start a line of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from gopub.canon import Json, bounded
from gopub.errors import GopubError

Verb: TypeAlias = Literal[
    "facts", "stage", "hook", "switch", "verify", "status", "stop", "rollback", "prune", "adopt", "disown",
    "logs", "table-get", "table-put", "heads",
]  # fmt: skip
VERBS: tuple[Verb, ...] = get_args(Verb)
PINNED: frozenset[Verb] = frozenset({"logs", "table-get", "table-put", "heads"})
"""Verbs that only the program of an enrolled host has; elsewhere a program is run instead."""
ENTERS: frozenset[Verb] = frozenset({"stage", "switch"})
"""Verbs by which a release comes to a host: an enrolled one asks for its admission. Going back is by others."""
_FORMAT = "1"


@dataclass(frozen=True, slots=True)
class Order:
    """One thing that one host is told to do.

    A host lets it in when ``epoch`` is higher than the one it holds, or when epoch and token are the same and
    ``n`` is higher; the same ``n`` gives the kept record. ``digests`` has ``archive``, ``binary``, ``files``;
    ``arguments`` are those of the verb. ``release`` and ``render`` are ids, at least 12 characters of them.
    ``admission`` are the lines of the release's admission with its signature, ``journal`` the head of the journal when
    this was ordered (``SEQ:HASH``): only signed orders have them (``gopub.fleet.signed``).
    ``trace`` is the ``traceparent`` of what it is done for: a host notes it and hands it on, and it counts for nothing.
    """

    verb: Verb
    host: str
    machine_id: str
    instance: str
    app: str
    env: str
    epoch: int = 0
    token: str = ""
    n: int = 0
    release: str = ""
    render: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    admission: Mapping[str, str] = field(default_factory=dict)
    journal: str = ""
    trace: str = ""

    @property
    def folder(self) -> str:
        """The release folder it is about, empty when it names none."""
        return f"{self.release[:12]}-{self.render[:12]}" if self.release else ""

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Keys and values as they go over the wire, in their fixed order, without those that are empty."""
        fixed = {
            "gopub": _FORMAT,
            "verb": self.verb,
            "host": self.host,
            "machine_id": self.machine_id,
            "instance": self.instance,
            "app": self.app,
            "env": self.env,
            "epoch": str(self.epoch),
            "token": self.token,
            "n": str(self.n),
            "release": self.release,
            "render": self.render,
            "reason": self.reason,
            "trace": self.trace,
        }
        digests = {f"digest.{name}": text for name, text in sorted(self.digests.items())}
        arguments = {f"arg.{name}": text for name, text in sorted(self.arguments.items())}
        return tuple((key, text) for key, text in (fixed | digests | arguments).items() if text)

    def lines(self) -> bytes:
        """The wire form, with the empty line that ends it.

        Raises:
            GopubError: GP419 when a value has a control character.
        """
        return as_lines(self, self.pairs())

    def to_json(self) -> dict[str, Json]:
        """As gopub/schemas/order.v1.json says; without ``arg.url``, which holds a secret."""
        kept = {name: text for name, text in sorted(self.arguments.items()) if name != "url"}
        return {
            "verb": self.verb,
            "host": self.host,
            "machine_id": self.machine_id,
            "instance": self.instance,
            "app": self.app,
            "env": self.env,
            "epoch": self.epoch,
            "token": self.token,
            "n": self.n,
            "release": self.release,
            "render": self.render,
            "digests": dict(sorted(self.digests.items())),
            "arguments": kept,
            "reason": self.reason,
        }


def as_lines(order: Order, pairs: Iterable[tuple[str, str]]) -> bytes:
    """These keys and values in the wire form, with the empty line that ends it.

    Raises:
        GopubError: GP419 when a value has a control character.
    """
    text = ""
    for key, said in pairs:
        if not said.isprintable():
            raise GopubError(
                "GP419",
                f"the order {order.verb} for {order.host}: {key} has a control character: {said!r}",
                hint="values of orders are single lines of printable text",
            )
        text += f"{key}={said}\n"
    return text.encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Record:
    """What a host answers to an order: whether it is so now, whether this call changed anything, and figures."""

    host: str
    verb: Verb
    epoch: int
    token: str
    n: int
    ok: bool
    changed: bool
    code: str = ""
    message: str = ""
    values: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, *, host: str, verb: Verb | None = None) -> Record:
        """Read what the host program printed; lines before the record (a login banner) are passed over.

        ``verb`` is what was asked: a host that refuses an order before it may read it does not know that.

        Raises:
            GopubError: GP416 when it holds no whole record.
        """
        pairs = _pairs(text, host)
        values = {key[6:]: said for key, said in pairs.items() if key.startswith("value.")}
        try:
            return cls(
                host=pairs["host"] or host,
                verb=_verb(pairs["verb"] or verb or ""),
                epoch=int(pairs["epoch"]),
                token=pairs["token"],
                n=int(pairs["n"]),
                ok=_flag(pairs["ok"]),
                changed=_flag(pairs["changed"]),
                code=pairs["code"],
                message=pairs["message"],
                values=values,
            )
        except (KeyError, ValueError) as error:
            raise _not_understood(host, f"its record is damaged ({bounded(str(error), 80)})", text) from error

    def to_json(self) -> dict[str, Json]:
        """As gopub/schemas/record.v1.json says."""
        return {
            "host": self.host,
            "verb": self.verb,
            "epoch": self.epoch,
            "token": self.token,
            "n": self.n,
            "ok": self.ok,
            "changed": self.changed,
            "code": self.code,
            "message": self.message,
            "values": dict(sorted(self.values.items())),
        }

    def error(self) -> GopubError:
        """The record as an error, for those who asked for something that had to be so."""
        return GopubError(self.code or "GP416", f"{self.host}: {self.verb}: {self.message}")


def _pairs(text: str, host: str) -> dict[str, str]:
    lines = text.splitlines()
    start = f"gopub-record={_FORMAT}"
    if start not in lines:
        raise _not_understood(host, "it answered no record", text)
    if lines[-1] != "end=1":
        raise _not_understood(host, "its record has no end", text)
    parts = (line.partition("=") for line in lines[lines.index(start) + 1 : -1])
    return {key: said for key, _, said in parts}


def _not_understood(host: str, what: str, text: str) -> GopubError:
    said = bounded(" | ".join(text.strip().splitlines()[-3:]), 300) or "nothing"
    return GopubError(
        "GP416", f"{host}: {what}; it said: {said}", hint="does a login script of that user print or exit?"
    )


def _verb(text: str) -> Verb:
    found: Verb | None = next((verb for verb in VERBS if verb == text), None)
    if found is None:
        raise ValueError(f"verb {text!r}")
    return found


def _flag(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError(f"neither true nor false: {text!r}")
    return text == "true"

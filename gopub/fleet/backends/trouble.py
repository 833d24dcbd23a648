"""Why a login did not come about, told by the kind of error and by how far it had come; and whether to try again."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from enum import Enum

import asyncssh
from asyncssh import DISC_PROTOCOL_ERROR

from gopub.errors import GopubError
from gopub.fleet.backends.known import Pinned
from gopub.process import Result

_UP = "is it up, and does its sshd listen there?"
_SLOW = (
    "its sshd waits for something (names, PAM, a disk), or the agent here for a touch or a confirmation; "
    "where the way is long, ConnectTimeout in ~/.ssh/config gives a login more time"
)
_HUNG_UP = (asyncssh.ConnectionLost, ConnectionResetError, BrokenPipeError)
_STUCK = "its sshd, or the machine, is stuck or overloaded: look at its console"


_DROPPED = (
    "an sshd does so with logins beyond its MaxStartups (10:30:100 as shipped), or of whom it penalizes "
    "(PerSourcePenalties): its log says which; raise it, or end what else logs in there; a firewall may do so too"
)


class Phase(Enum):
    """How far a login had come."""

    CONNECTING = "connecting"
    GREETING = "greeting"
    KEYS = "keys"
    LOGIN = "login"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a login until it failed."""

    name: str
    address: str
    user: str
    phase: Phase
    limit: float
    bastion: str | None = None
    shown_key: asyncssh.SSHKey | None = None
    keys_shown: int = 0
    complaint: str = ""
    advice: str = ""

    @property
    def who(self) -> str:
        """The host, and where it was looked for."""
        return f"{self.name} ({self.address})"


class AgainError(Exception):
    """A failure that may be none the next time, and what to say when it is."""

    def __init__(self, told: GopubError, *, dropped: bool = False) -> None:
        """Keep what to say; ``dropped``: it took the connection and hung up without a word, as a full one does."""
        super().__init__(told.problem)
        self.told = told
        self.dropped = dropped


def failed(error: Exception, seen: Seen, pinned: Pinned) -> GopubError | AgainError:
    """What to say of an error; ``AgainError`` around it where another try makes sense."""
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return pinned.refusal(seen.name, seen.shown_key)
    if isinstance(error, asyncssh.PermissionDenied):
        return _denied(error, seen)
    if isinstance(error, asyncssh.DisconnectError) and error.code == DISC_PROTOCOL_ERROR and _in_login(seen):
        return _too_many(error, seen)
    if isinstance(error, asyncssh.KeyExchangeFailed):
        problem = f"{seen.who} and gopub have no algorithm in common: {say(error)}"
        return GopubError(
            "GP413", problem, hint="KexAlgorithms, MACs and HostKeyAlgorithms of ~/.ssh/config count here"
        )
    return _not_reached(error, seen)


def _not_reached(error: Exception, seen: Seen) -> GopubError | AgainError:
    if isinstance(error, TimeoutError) and not error.errno:  # ours; the system's has a number
        hint = {Phase.CONNECTING: _UP, Phase.LOGIN: _SLOW}.get(seen.phase, _STUCK)
        return GopubError("GP413", _silence(seen), hint=hint)
    if isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN:
        problem = f"{seen.who} cannot be reached: its name is not known here: {say(error)}"
        return GopubError("GP413", problem, hint="check ansible_host, or HostName in ~/.ssh/config")
    if isinstance(error, FileNotFoundError | PermissionError):
        problem = f"{seen.who} cannot be reached: its proxy command cannot be started: {say(error)}"
        return GopubError("GP413", problem, hint="is the program installed where gopub runs, and on PATH?")
    dropped = seen.phase is Phase.GREETING and isinstance(error, _HUNG_UP)
    told = GopubError("GP413", f"{seen.who} cannot be reached: {_lost(error, seen)}", hint=_DROPPED if dropped else _UP)
    return AgainError(told, dropped=dropped)


def _in_login(seen: Seen) -> bool:
    return seen.phase is Phase.LOGIN and seen.keys_shown > 0


def _denied(error: Exception, seen: Seen) -> GopubError:
    problem = f"{seen.name} does not let {seen.user} in: {say(error)} (keys shown: {seen.keys_shown})"
    return GopubError("GP414", f"{problem}; {seen.complaint}" if seen.complaint else problem, hint=seen.advice)


def _too_many(error: Exception, seen: Seen) -> GopubError:
    problem = f"{seen.name} ended the login of {seen.user} after {seen.keys_shown} keys were shown to it: {say(error)}"
    return GopubError(
        "GP414",
        f"{problem}; {seen.complaint}" if seen.complaint else problem,
        hint="it takes only a few (MaxAuthTries), and the agent holds many: name the right one (the inventory's key, "
        "or IdentityFile in ~/.ssh/config), with IdentitiesOnly yes to leave the others out",
    )


def _silence(seen: Seen) -> str:
    limit = f"{seen.limit:g}s"
    via = f" through {seen.bastion}" if seen.bastion else ""
    return {
        Phase.CONNECTING: f"{seen.who} cannot be reached: no connection{via} within {limit}",
        Phase.GREETING: f"{seen.who} accepted the connection{via} and said nothing for {limit}",
        Phase.KEYS: f"{seen.who} greeted and then did not agree on keys within {limit}",
        Phase.LOGIN: f"{seen.who} showed its key and then did not finish the login of {seen.user} within {limit}",
    }[seen.phase]


def _lost(error: Exception, seen: Seen) -> str:
    if isinstance(error, asyncssh.ChannelOpenError) and seen.bastion:
        return f"{seen.bastion} does not connect to it: {say(error)}"
    if isinstance(error, _HUNG_UP):
        when = {
            Phase.GREETING: "before it greeted",
            Phase.KEYS: "before keys were agreed on",
            Phase.LOGIN: f"during the login of {seen.user}",
        }
        return f"it hung up {when.get(seen.phase, 'at once')}: {say(error)}"
    return say(error)


def say(error: BaseException) -> str:
    """What an error says, or at least its name."""
    return str(error) or type(error).__name__


def not_begun(host: str, program: str, result: Result) -> GopubError:
    """The error for a program that the login shell never began: an enrolled host has one of its own, which answered."""
    if b"gopub-record=1\n" in result.out:
        return no_program(host, program)
    return GopubError(
        "GP416",
        f"{host}: {program} was not begun (exit {result.code}): {result.complaint or 'the login shell was silent'}",
        hint="it needs a user who may log in and run commands, and sudo without a password",
    )


def no_program(host: str, program: str) -> GopubError:
    """The error for a program that an enrolled host is asked to run."""
    return GopubError(
        "GP487", f"{host} is enrolled: it runs no program, so not {program}",
        hint="what root does there goes over root's own SSH: --as root --key FILE",
    )  # fmt: skip

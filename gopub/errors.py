"""Every error a user can meet, as one tree.

    GopubError                 exit 1   failed
    ├── UsageError             exit 2   the command line or a file is wrong
    │   └── SpecError          exit 2   gopub.yaml or connections.yaml is wrong
    ├── RefusedError           exit 3   a policy or a signature refuses
    ├── RolledBackError        exit 4   the rollout went back
    ├── PartialError           exit 5   something could not be reached and is owed
    ├── LockedError            exit 6   somebody else holds the seat
    ├── InconclusiveError      exit 7   no evidence, or a wait ended
    ├── DriftError             exit 8   the fleet differs from what was asked for
    └── InterruptedByUser      exit 130 Ctrl-C

Each code (``GP204``) has a page in docs/errors. The text says what, which value, where and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

LONGEST = 4000
"""Characters of a problem, and of a hint."""


class Exit(IntEnum):
    """Exit codes of the ``gopub`` command; frozen, see docs/reference/cli.md."""

    OK = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    ROLLED_BACK = 4
    PARTIAL = 5
    LOCKED = 6
    INCONCLUSIVE = 7
    DRIFT = 8
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a file; line and column count from 1, 0 means unknown."""

    file: str
    line: int = 0
    col: int = 0

    def __str__(self) -> str:
        """``file:line:col`` without the parts that are unknown."""
        parts = [self.file, *(str(n) for n in (self.line, self.col) if n)]
        return ":".join(parts)


class GopubError(Exception):
    """A failure that gopub explains: code, problem, place and hint."""

    exit: Exit = Exit.FAILED

    def __init__(self, code: str, problem: str, *, hint: str = "", where: Where | None = None) -> None:
        """Keep the parts; ``str()`` gives the text that users read.

        What somebody wrote into a file may be part of it, and may be long: it is cut where nobody reads on.
        """
        problem, hint = _cut(problem), _cut(hint)
        super().__init__(problem)
        self.code = code
        self.problem = problem
        self.hint = hint
        self.where = where

    def __str__(self) -> str:
        """``where: CODE problem`` and, on a line of its own, the hint."""
        head = f"{self.where}: " if self.where else ""
        tail = f"\nhint: {self.hint}" if self.hint else ""
        return f"{head}{self.code} {self.problem}{tail}"

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by parts: Prefect carries exceptions between processes."""
        return _rebuild, (type(self), self.code, self.problem, self.hint, self.where)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _rebuild(kind: type[GopubError], code: str, problem: str, hint: str, where: Where | None) -> GopubError:
    return kind(code, problem, hint=hint, where=where)


class UsageError(GopubError):
    """The command line, a file or a request is wrong; nothing was done."""

    exit = Exit.USAGE


class SpecError(UsageError):
    """A file that a team writes is wrong."""


class RefusedError(GopubError):
    """A policy or a signature refuses; nothing was activated."""

    exit = Exit.REFUSED


class PartialError(GopubError):
    """Some hosts or edges could not be confirmed; they are owed."""

    exit = Exit.PARTIAL


class LockedError(GopubError):
    """Another driver or another rollout holds this app and env."""

    exit = Exit.LOCKED


class InconclusiveError(GopubError):
    """A verdict or an answer did not come in time."""

    exit = Exit.INCONCLUSIVE


class InterruptedByUser(GopubError):  # noqa: N818 - it is a user's wish, not an error
    """The user pressed Ctrl-C; the work stopped at a safe point."""

    exit = Exit.INTERRUPTED


class ErrorGroup(SpecError):  # noqa: N818 - it is many of them
    """Several mistakes of one file, told together so that they are mended in one go."""

    def __init__(self, errors: Sequence[GopubError]) -> None:
        """Take at least one error; the first one gives the code."""
        first = errors[0]
        super().__init__(first.code, first.problem, hint=first.hint, where=first.where)
        self.errors = tuple(errors)

    def __str__(self) -> str:
        """All texts, one after another."""
        return "\n".join(str(error) for error in self.errors)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by members."""
        return ErrorGroup, (list(self.errors),)

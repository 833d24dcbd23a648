"""What can be wrong with a template."""

from __future__ import annotations

from typing import Literal

from gopub.errors import SpecError, Where

Kind = Literal["wrong", "undefined", "excess", "control"]
"""It is wrong; it names what is not there; it wants too much; a value would break out of its line."""
_LONGEST = 300


class TemplateFault(Exception):  # noqa: N818 - whoever knows the template's place makes the error of it
    """What is wrong with a template: the problem, its line (0: unknown), and of which kind it is."""

    def __init__(self, problem: str, line: int = 0, kind: Kind = "wrong") -> None:
        """Keep the parts; a problem that quotes much is cut."""
        super().__init__(problem if len(problem) <= _LONGEST else f"{problem[:_LONGEST]}…")
        self.line, self.kind = line, kind

    def told(self, where: Where, what: str = "template") -> SpecError:
        """The error that users read: GP407, or GP408 for one that wants too much."""
        if self.kind == "excess":
            return SpecError("GP408", f"{what}: {self}", hint="keep templates small", where=where)
        undefined = self.kind == "undefined"
        hint = "variables are those of the host, of its groups and of the release" if undefined else ""
        return SpecError("GP407", f"{what}: {self}", hint=hint, where=where)


class BudgetError(Exception):
    """A template wants more steps, work or text than it may have."""


class ControlError(Exception):
    """A value that must be one line of printable characters is not."""

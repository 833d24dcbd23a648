"""Lines that belong together: a panic with its goroutines, an exception with its frames and causes, is one event.

Each line of a dump would else count by itself: a stack of forty frames whose packages are called ``…Error`` weighed
forty times one line. An event has the classes of its first line, and the kinds of error that its causes name.

1.  A frame (``<tab>at …(…)``, ``… 12 more``), ``Caused by:`` and ``goroutine 7 [running]:`` never begin an event.
2.  After ``panic:``, ``fatal error:``, ``panic serving`` or ``goroutine …`` the lines that a Go program dies with
    belong to it: goroutines, functions, files, registers.
3.  After a plain line of level warning or worse, the head of a Java trace (``java.lang.X: …``) belongs to that line.
    After any other line it is an event of its own, as is ``Exception in thread …`` always: nobody caught that one.
4.  A structured line is always an event of its own, also in the midst of a dump: other goroutines go on writing.

What belongs to what is remembered from one reading to the next, in one word; nothing is kept of the lines themselves,
and an event counts in the reading that has its first line.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from gopub.health.logexamples import LOOKED_AT, MOST, of_classes
from gopub.health.logkeys import causes, heads_a_trace
from gopub.health.loglines import GRAVE, classes, quiet, warned

_JUDGED = 512
"""Characters of a line by which it is decided whether it belongs to the one before."""
MOST_CAUSES = 8
MOST_CLASSES = 1000
"""Classes of one host and reading; what is beyond is one class of its kind, so random lines fill no memory."""
OTHER = "other"
_FRAME = re.compile(
    r"[ \t]{1,16}at [\w$.<>/@ -]{1,400}\(|[ \t]{0,16}\.\.\. \d{1,6} (?:more|common frames)"
    r"|[ \t]{0,16}(?:Caused by|Suppressed): |[ \t]{1,16}- (?:locked|waiting on|parking)|goroutine \d{1,12} [\[g]"
)
_GO_BEGINS = re.compile(r"(?:[\d/:. ]{0,40}(?:http: )?panic(?: serving|: )|fatal error: |SIG[A-Z]{3,7}: )")
_GO_GOES_ON = re.compile(
    r"$|\[signal |created by |[ \t]{1,16}\S{1,400}\.(?:go|s):\d|[ \t]{0,8}panic: |exit status \d|r\w{1,3} {2,8}0x"
    r"|runtime stack:|\.\.\.additional frames|[ \t]goroutine running on other|PC=0x|\[(?:recovered|originating)"
)


@dataclass(frozen=True, slots=True)
class Said:
    """One error event: its classes, and the line that began it."""

    classes: tuple[str, ...]
    text: str


@dataclass(slots=True)
class Joiner:
    """Reads the lines of one process in their order; ``inside`` is what the last of them was part of.

    ``line``: a plain line of level warning or worse, ``java`` and ``go``: a dump, "": nothing that goes on.
    """

    inside: str = ""
    _text: str = ""
    _priority: int = 6
    _causes: list[str] = field(default_factory=list)
    _held: bool = False
    _quiet: str = ""
    """The line before, if it was none to look at: only what follows makes it worth asking for its level."""

    def take(self, text: str, priority: int) -> tuple[Said, ...]:
        """One more line; the event before, if this one ends it and it is an error."""
        still = priority > 3 and quiet(text)
        if still and not self.inside and not self._held:
            self._quiet = text
            return ()
        if self._quiet:
            self.inside, self._quiet = _begins(self._quiet[:_JUDGED], ""), ""
        goes_on = _goes_on(text[:_JUDGED], self.inside)
        if goes_on is not None:
            self.inside = goes_on
            if self._held and len(self._causes) < MOST_CAUSES:
                self._causes += causes(text[:_JUDGED])
            return ()
        said = self.end()
        if still and self.inside != "go":
            self.inside, self._quiet = "", text
            return said
        self._text, self._priority, self._held = text, priority, True
        self.inside = _begins(text[:_JUDGED], self.inside, priority)
        return said

    def end(self) -> tuple[Said, ...]:
        """Count what is held: no more of it was read. What still belongs to it later is passed over."""
        found = classes(self._text, self._priority, tuple(self._causes)) if self._held else ()
        said = (Said(found, self._text),) if found else ()
        self._text, self._causes, self._held = "", [], False
        return said


class Classes(Counter[str]):
    """Events by their classes, with the beginning of a line of each class that says what it is."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.examples: dict[str, str] = {}

    def show(self, event: Said) -> None:
        """Keep its line for those of its classes that have none."""
        if len(self.examples) < MOST:
            for name in of_classes(event.classes):
                self.examples.setdefault(name, event.text[: LOOKED_AT + 1])


def count(said: tuple[Said, ...], into: Counter[str], harmless: frozenset[str] = frozenset()) -> int:
    """Add the classes of events; how many were left out because they are harmless."""
    left = 0
    for event in said:
        if harmless and is_harmless(event.classes, harmless):
            left += 1
            continue
        if isinstance(into, Classes):
            into.show(event)
        for name in event.classes:
            into[name if len(into) < MOST_CLASSES or name in into else other_of(name)] += 1
    return left


def is_harmless(classes: tuple[str, ...], harmless: frozenset[str]) -> bool:
    """Whether an event's template is harmless, or all the kinds of error that it names are.

    A grave kind (a panic, want of memory), or a line of level fatal, is so only by its kinds: another failure may bear
    the words of a harmless one.
    """
    kinds = [name for name in classes if name.startswith("error:")]
    if kinds and harmless.issuperset(kinds):
        return True
    grave = "level:fatal" in classes or not GRAVE.isdisjoint(kinds)
    return not grave and not harmless.isdisjoint(name for name in classes if name.startswith("template:"))


def say_left(left: int) -> tuple[str, ...]:
    """The note on what did not count."""
    return (f"{left} error lines marked as harmless do not count",) if left else ()


def other_of(name: str) -> str:
    """The class that stands for those of the same kind that there is no room for."""
    return f"{name.partition(':')[0]}:{OTHER}"


def _goes_on(text: str, inside: str) -> str | None:
    """What the line is part of, together with the one before; None where it begins anew."""
    if text.startswith("{"):
        return None
    if _FRAME.match(text):
        return "go" if text.startswith("goroutine") else inside and "java"
    if inside == "go" and (_GO_GOES_ON.match(text) or _is_function(text)):
        return "go"
    uncaught = text.startswith("Exception in thread")
    return "java" if inside == "line" and heads_a_trace(text) and not uncaught else None


def _begins(text: str, inside: str, priority: int = 6) -> str:
    if text.startswith("{"):
        return "go" if inside == "go" else ""
    if _GO_BEGINS.match(text):
        return "go"
    if heads_a_trace(text):
        return "java"
    return "line" if priority <= 3 or warned(text) else ""


def _is_function(text: str) -> bool:
    """Whether a line is a function of a goroutine: ``main.(*T).f(0xc000…)``; looked at without a pattern on purpose."""
    name = text.partition("(")[0]
    whole = text.endswith((")", "...")) or len(text) == _JUDGED
    return whole and " " not in name and ("." in name or name == "panic") and "(" in text

"""Where a release may come from: repositories compared by what they are, not how they are written, and patterns. Pure.

A repository has many addresses: ``git@git.example:team/orders.git``, ``https://git.example/team/orders`` and
``ssh://git@git.example:22/team/orders.git`` are one place, ``git.example/team/orders``. A pattern is an address in
which ``*`` stands for any text without ``/`` and ``**`` for any text; it is matched as a whole, and nothing else in it
is special.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

_URL = re.compile(r"(?:git\+)?(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>[^?#]*)", re.DOTALL)
_SCP = re.compile(r"(?:[^@/]+@)?(?P<host>\[[^\]/]*\]|[^:/@]+):(?P<path>(?!//).+)", re.DOTALL)
_PORTS = {"https": "443", "http": "80", "ssh": "22", "git": "9418"}
_DETOUR = re.compile(r"(^|/)\.{1,2}(/|$)|%(2[ef]|5c)|\\", re.IGNORECASE)
"""What a client of HTTP resolves before it asks: segments of dots, and slashes and dots that are written otherwise."""
_COMMIT = re.compile(r"HEAD|[0-9a-f]{40}|[0-9a-f]{64}")
_HEADS, _TAGS = "refs/heads/", "refs/tags/"
LONGEST = 1000
"""Characters of an address or a ref that are looked at: longer ones match nothing."""


@dataclass(frozen=True, slots=True)
class SourcePolicy:
    """Which sources an environment accepts: patterns of repositories and of refs; none of a kind: any.

    ``chosen`` says in words where the repositories come from.
    """

    repositories: tuple[str, ...] = ()
    refs: tuple[str, ...] = ()
    chosen: str = "the repository is not restricted"

    def complaint(self, repository: str, ref: str) -> str:
        """Why a source is not accepted; empty when it is."""
        if self.repositories and not any(same_place(pattern, repository) for pattern in self.repositories):
            return f"built from {shown(repository)}, and not from {' or '.join(self.repositories)} ({self.chosen})"
        if self.refs and not any(matches(pattern, name) for pattern in self.refs for name in names_of(ref)):
            return f"built at {shown(ref)}, and not at {' or '.join(self.refs)} (admit.provenance.ref)"
        return ""

    def words(self) -> str:
        """What is accepted, for people."""
        places = " or ".join(self.repositories) or "any repository"
        return f"{places}{' at ' + ' or '.join(self.refs) if self.refs else ''} ({self.chosen})"

    def says(self, repository: str, ref: str) -> str:
        """What was found right."""
        return f"built from {shown(repository)} at {shown(ref)}; {self.chosen}"


ANY_SOURCE = SourcePolicy()
"""From anywhere."""


def same_place(pattern: str, repository: str) -> bool:
    """Whether an address is one of the pattern's, however both are written.

    One that goes up again, ``https://git.example/team/../evil/x``, or hides it behind percent signs, is fetched from
    elsewhere than it seems to lie: it is nobody's.
    """
    there = place(repository) if repository.isprintable() else "\n"
    beside = there.startswith((".", "~"))  # of the machine that built: where that leads nobody knows here
    return (beside or not _DETOUR.search(there)) and matches(place(pattern), there)


def place(address: str) -> str:
    """``host/path`` of an address, the absolute path of a folder: what two ways of writing one repository share.

    Without scheme, user, password, default port, query, ``.git`` and slashes at the end; the host in small letters.
    """
    text = address.strip()
    if found := _URL.fullmatch(text.partition("?")[0].partition("#")[0]):
        return _of_url(found["scheme"].lower(), found["rest"])
    if text.startswith(("/", ".", "~")):
        return _clean(text)
    if found := _SCP.fullmatch(text):
        return f"{found['host'].lower()}/{_clean(found['path']).lstrip('/')}"
    return _clean(text)


def _of_url(scheme: str, rest: str) -> str:
    authority, _, path = rest.partition("/")
    if scheme == "file":
        return _clean("/" + unquote(path))
    host = authority.rpartition("@")[2].lower()
    return f"{host.removesuffix(':' + _PORTS.get(scheme, '')).rstrip(':')}/{_clean(path).lstrip('/')}"


def _clean(path: str) -> str:
    bare = path.rstrip("/")
    return bare.removesuffix("/.git").removesuffix(".git").rstrip("/") or path[:1]


def names_of(ref: str) -> tuple[str, ...]:
    """The full and the short name of a branch or tag; what a commit or HEAD is called is its only name.

    A short name is a branch's: a tag is recorded by its full name.
    """
    if ref.startswith((_HEADS, _TAGS)):
        return ref, ref.removeprefix(_HEADS).removeprefix(_TAGS)
    return (ref,) if ref.startswith("refs/") or _COMMIT.fullmatch(ref) else (ref, _HEADS + ref)


def matches(pattern: str, text: str) -> bool:
    """Whether a text as a whole is one of the pattern's. Its work grows with both lengths, never faster.

    A name has no line breaks and nothing that cannot be seen: such a text is nobody's.
    """
    if len(text) > LONGEST or not text.isprintable():
        return False
    tokens = re.findall(r"\*\*|\*|.", pattern, re.DOTALL)
    at = _past_stars(tokens, {0})
    for letter in text:
        at = _past_stars(tokens, {step for here in at for step in _steps(tokens, here, letter)})
    return len(tokens) in at


def _steps(tokens: list[str], here: int, letter: str) -> Iterable[int]:
    part = tokens[here] if here < len(tokens) else ""
    if part == "**" or (part == "*" and letter != "/"):
        yield here
    elif part == letter:
        yield here + 1


def _past_stars(tokens: list[str], places: set[int]) -> set[int]:
    """The same places, and those behind stars that stand for nothing."""
    found = set(places)
    for here in places:
        while here < len(tokens) and tokens[here] in {"*", "**"}:
            here += 1  # noqa: PLW2901 - a walk from each place on
            found.add(here)
    return found


def shown(text: str) -> str:
    """A name from outside as an error shows it: on one line, no secret, and not too long."""
    bare = re.sub(r"://[^/@]*@", "://", text)
    return ascii(bare if len(bare) <= 120 else f"{bare[:60]}…{bare[-50:]}") if bare else "an unknown place"

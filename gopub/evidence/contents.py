"""What a policy asks of a release's packages and of its age. Pure: each answer is a :class:`Check` with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gopub.evidence.checks import Check, few
from gopub.evidence.packages import Package
from gopub.spec.forbidden import Forbidden
from gopub.spec.licences import is_denied
from gopub.units import say_seconds

SKEW = 300.0
"""Seconds by which two good clocks may differ: so far a signature may seem to come from the future."""

Lists = Mapping[str, tuple[Package, ...] | None]
"""Format to the packages of its signed document; None: it cannot be read."""


@dataclass(frozen=True, slots=True)
class ContentPolicy:
    """What must be listed, and what must not be; empty where nothing is asked."""

    formats: tuple[str, ...] = ()
    forbid: tuple[Forbidden, ...] = ()
    deny: tuple[str, ...] = ()


NOTHING_ASKED = ContentPolicy()
"""Of what is in a release."""


@dataclass(frozen=True, slots=True)
class Age:
    """When a release was signed (seconds since the epoch), who says so, and what time it is."""

    at: float | None
    told_by: str
    now: float


def content_checks(policy: ContentPolicy, lists: Mapping[str, Lists]) -> tuple[Check, ...]:
    """The checks that a policy asks for; ``lists`` are those of each target."""
    made = []
    if policy.formats:
        lacking = [f"{target} has no good {form} SBOM" for target, of in lists.items()
                   for form in policy.formats if of.get(form) is None]  # fmt: skip
        made.append(_told("formats", lacking, f"every target has {' and '.join(policy.formats)}"))
    unread = _unread(lists)
    packages = _all(lists)
    if policy.forbid:
        made.append(_told("forbidden", [*unread, *_forbidden(policy.forbid, packages)],
                          f"none of {len(packages)} packages is forbidden"))  # fmt: skip
    if policy.deny:
        made.append(_told("licences", [*unread, *_denied(policy.deny, packages)],
                          f"the licences of all {len(packages)} packages are known, and none is denied"))  # fmt: skip
    return tuple(made)


def fresh(limit: float, age: Age) -> Check:
    """Whether it was signed within the last ``limit`` seconds; says by whose clock."""
    if age.at is None:
        return Check("fresh", passed=False, reason="nobody says when it was signed or built")
    old = age.now - age.at
    if old < -SKEW:
        text = f"{say_seconds(float(round(-old)))} in the future, by {age.told_by}: is a clock wrong?"
        return Check("fresh", passed=False, reason=text)
    said = f"{say_seconds(float(round(max(old, 0.0))))} old, by {age.told_by}"
    if old > limit:
        return Check("fresh", passed=False, reason=f"{said}; {say_seconds(limit)} is the most")
    return Check("fresh", passed=True, reason=said)


def _told(name: str, wrong: Sequence[str], otherwise: str) -> Check:
    return Check(name, not wrong, few(wrong) or otherwise)


def _unread(lists: Mapping[str, Lists]) -> list[str]:
    """Where there is nothing to look into: what is in no list would pass every one."""
    empty = [
        f"no good SBOM of {target} lists a package"
        for target, of in lists.items()
        if not any(map(_packages, of.values()))
    ]
    wrong = [f"{target} {form}: it is no such document" for target, of in lists.items()
             for form, found in of.items() if found is None]  # fmt: skip
    return [*empty, *wrong] if lists else ["the release has no targets"]


def _packages(found: tuple[Package, ...] | None) -> tuple[Package, ...]:
    return found or ()


def _all(lists: Mapping[str, Lists]) -> list[Package]:
    """Every package once, with what any of the documents says of its licence."""
    together: dict[tuple[str, str], Package] = {}
    for of in lists.values():
        for found in of.values():
            for one in _packages(found):
                key = (one.names[1] or one.name, one.version)
                before = together.get(key)
                licences = tuple(dict.fromkeys([*(before.licences if before else ()), *one.licences]))
                together[key] = Package(one.name, one.version, one.purl, licences)
    return list(together.values())


def _forbidden(entries: Iterable[Forbidden], packages: Iterable[Package]) -> list[str]:
    found = []
    for entry in entries:
        for one in packages:
            if entry.is_about(*one.names):
                hit = entry.hits(one.version)
                if hit is None:
                    version = f"has a version that nobody can compare ({ascii(one.version)[1:-1][:40] or 'none'})"
                    found.append(f"{one.name[:120]} {version}, and {entry.text} is forbidden")
                elif hit:
                    found.append(f"{one} is forbidden ({entry.text})")
    return found


def _denied(deny: Sequence[str], packages: Sequence[Package]) -> list[str]:
    found = [f"{one} has {licence[:100]}, which is denied" for one in packages for licence in one.licences
             if is_denied(licence, deny)]  # fmt: skip
    unknown = [one for one in packages if not one.licences]
    if unknown:
        shown = ", ".join(map(str, unknown[:3])) + (", …" if len(unknown) > 3 else "")
        found.append(f"{len(unknown)} of {len(packages)} packages have no licence that is known (NOASSERTION in the "
                     f"SBOM): {shown}")  # fmt: skip
    return found

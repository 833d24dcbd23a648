"""What `gopub doctor` says of whom hosts obey: signed orders alone, or whoever may log in. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gopub.usecases.doctor_facts import Obeys

_MOST = 8
"""Names in one sentence."""

Said = tuple[bool, str, str, str]
"""Whether it is well, one sentence, what was seen, and what to do."""


def whom_they_obey(hosts: Sequence[Obeys]) -> Iterator[Said]:
    """What differs among hosts, and what is behind this gopub; that some are not enrolled is told, and no fault."""
    pinned = [one for one in hosts if one.roles is not None]
    loose = [one for one in hosts if one.roles is None]
    if loose:
        yield (
            True,
            f"{len(loose)} of {len(hosts)} hosts are unpinned",
            f"{_names(loose)}: whoever may log in orders",
            "",
        )
    if not pinned:
        return
    newest = max(one.roles or 0 for one in pinned)
    yield (
        True,
        f"{len(pinned)} of {len(hosts)} hosts are enrolled",
        f"list of roles {newest}; they obey what is signed",
        "",
    )
    behind = [one for one in pinned if one.roles != newest]
    if behind:
        told = f"{_names(behind)}: not {newest}, which others have"
        yield False, "hosts have an older list of roles", told, "give it to them, too: gopub host roles"
    strange = [one for one in pinned if not one.own]
    if strange:
        yield (
            False,
            "the program on hosts is not the one of this gopub",
            f"{_names(strange)}: verbs and checks may be older",
            "gopub host upgrade, with the root's key; or the newer gopub, where that is this one",
        )


def _names(hosts: Sequence[Obeys]) -> str:
    names = sorted(one.host for one in hosts)
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more

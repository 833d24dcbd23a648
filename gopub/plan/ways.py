"""How each host will come to the new release: by the mode's own way, or by a restart, and why. Pure.

The host decides it anew when it switches, by what serves there then (``program/modes.sh``); here it is told before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from gopub.fleet.facts import HostFacts
from gopub.fleet.modes import MODES
from gopub.fleet.slots import SIDE

MOST_NAMES = 5
"""Hosts that are named; of more only how many."""
HANDED = frozenset(mode.name for mode in MODES.values() if mode.mixes) - {SIDE}
"""Modes in which another process takes over from the one that serves, with its words, environment and limits."""


def ways(mode: str, facts: Mapping[str, HostFacts], units: Mapping[str, str]) -> tuple[str, ...]:
    """On which hosts the mode is possible, and why not on others; ``units`` are SHA-256 of their new units."""
    if (mode not in HANDED and mode != "socket") or not any(fact.current for fact in facts.values()):
        return ()  # at a first release every host starts
    because: dict[str, list[str]] = defaultdict(list)
    for name, fact in facts.items():
        because[_why(mode, fact, units[name])].append(name)
    by_mode = because.pop("", [])
    told = [f"{_say(names)} {'restarts' if len(names) == 1 else 'restart'}: {why}" for why, names in because.items()]
    if not told:
        return (f"switch: {mode} on every host",)
    return (f"switch: {mode} on {_say(by_mode) if by_mode else 'no host'}; {'; '.join(told)}",)


def restarts_for_files(
    facts: Mapping[str, HostFacts], files: Mapping[str, Mapping[str, str]], binaries: Mapping[str, str]
) -> str:
    """Why files that could be taken in without a restart are not; empty where nothing is lost.

    ``files`` are SHA-256 of those files by host and path, ``binaries`` those of the new programs by target.
    """
    names = [
        name for name, fact in facts.items()
        if fact.current and fact.current.binary
        and fact.current.binary != binaries.get(f"linux/{fact.arch}", fact.current.binary)
        and any(dict(fact.files).get(path, digest) != digest for path, digest in files[name].items())
    ]  # fmt: skip
    if not names:
        return ""
    who = "every host starts" if len(names) == len(facts) else f"{_say(names)} start{'s' if len(names) == 1 else ''}"
    return (f"{who} a new process although files with `apply: reload` change: another commit is another binary, for "
            "its number is in it; what changes often belongs into the inventory, which `gopub deploy --config-only` "
            "brings in without a restart")  # fmt: skip


def _why(mode: str, fact: HostFacts, unit: str) -> str:
    """Why a host restarts; empty where it need not."""
    if fact.current is None:
        return "nothing runs there yet"
    if mode == "socket":
        return "" if fact.mode == "socket" else "its socket is new, so direct clients are refused for a moment"
    if fact.mode not in HANDED:
        return f"what runs there was not released for a {mode}"
    return "" if fact.unit_raw == unit else "the unit changes"


def _say(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more

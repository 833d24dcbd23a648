"""The stable release rolled out again, with other rendered files: who changes, and how that is told apart. Pure.

What edges and metrics count is counted by releases, and here both tracks run one. So while such a rollout lasts its
canary is counted under a **revision**, a name made of the release and of the files that each host gets. Edges of every
version take it, for it looks like a release. Once promoted, the hosts are counted under their release again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from gopub.canon import digest_of
from gopub.fleet.facts import HostFacts
from gopub.spec.models import Environment
from gopub.spec.own import OwnMetric

_RELEASE = re.compile(r"{{\s*release\s*}}")


def revision_of(release: str, renders: Mapping[str, str]) -> str:
    """The same 64 hex digits for the same release with the same files on the same hosts."""
    return digest_of({"release": release, "renders": dict(sorted(renders.items()))})


def unchanged(release: str, facts: Mapping[str, HostFacts], renders: Mapping[str, str]) -> frozenset[str]:
    """The hosts that run that release with these very files: as canaries they would show nothing."""
    wanted = {name: f"{release[:12]}-{render[:12]}" for name, render in renders.items()}
    return frozenset(name for name, fact in facts.items() if fact.current and fact.current.name == wanted[name])


def notes(revision: str, same: Sequence[str], hosts: int, environment: Environment) -> tuple[str, ...]:
    """What a person must know of such a rollout; ``revision`` is empty where nobody counts requests."""
    short = f"revision {revision[:12]}"
    counted = f": what they answer is counted as {short} and compared with the files of before" if revision else ""
    first = f"the release is the stable one, with other rendered files{counted}"
    told = [f"{first}; a rollback after it goes to the release before"]
    if same:
        told.append(f"{len(same)} of {hosts} hosts get no other files and come last")
    if revision and (names := [one.name for one in environment.judge.metrics if _by_release(one)]):
        labels = f"judge.metrics {', '.join(names)}: a series that the service itself labels with its release"
        told.append(f"{labels} is none of {short}; ask by hosts")
    return tuple(told)


def _by_release(metric: OwnMetric) -> bool:
    return any(_RELEASE.search(query) for query in (metric.query, metric.per or ""))

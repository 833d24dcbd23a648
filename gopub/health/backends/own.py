"""The team's own queries in PromQL: names put in so that each stays a name, and what came back."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from gopub.health.backends.promql import any_of, quoted
from gopub.health.backends.runtimes import NATIVE
from gopub.health.backends.targets import Row
from gopub.health.ownread import MOST_SERIES, OwnAnswer, OwnSeries
from gopub.health.samples import ResolvedQuery
from gopub.spec.querytext import filled

_RELEASE = re.compile(r"[0-9A-Za-z]{1,64}")
_HOST = re.compile(r"[0-9A-Za-z_.:-]{1,255}")


def for_track(query: str, app: str, env: str, release: str, hosts: Sequence[str]) -> str:
    """The query for one track; hosts are a regular expression that matches these names alone.

    Raises:
        ValueError: a name has characters that could mean something in a query.
    """
    for name, known in ((release, _RELEASE), *((host, _HOST) for host in hosts)):
        if not known.fullmatch(name):
            raise ValueError(f"{name!r} has characters that no query may hold")
    values = {"release": release, "hosts": any_of(sorted(hosts))[1:-1]}
    return filled(query, values | {"app": quoted(app)[1:-1], "env": quoted(env)[1:-1]})


def own_answer(rows: Sequence[Row], queries: Sequence[ResolvedQuery]) -> OwnAnswer:
    """The newest value of each series; of far too many no more than show that.

    Raises:
        ValueError: a value is a native histogram.
    """
    if any(NATIVE in labels for labels, _ in rows):
        raise ValueError("it gives a native histogram, which is no number: write histogram_count(…), _sum or _avg")
    found = [
        OwnSeries(json.dumps(labels, sort_keys=True), labels.get("host", ""), float(samples[-1][1]))
        for labels, samples in rows[: MOST_SERIES + 1]
    ]
    return OwnAnswer(tuple(found), tuple(queries), len(rows))

"""Rules that span several keys of gopub.yaml, one function each; what a single value must be is in the models.

Here are also rules for single values that came later: models read releases and rollback kits that are kept, too, and
what was written before a rule must still be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gopub.spec.admitrules import wrong_admit
from gopub.spec.budget import BudgetSpec, PromoteSpec
from gopub.spec.compat import wrong_hooks
from gopub.spec.confirm import wrong as wrong_confirm
from gopub.spec.endpoints import AUTO, hidden_by, pattern
from gopub.spec.endpoints import MOST as MOST_ENDPOINTS
from gopub.spec.fields import say_fraction
from gopub.spec.heard import useless_key
from gopub.spec.models import Environment, Judge, ReleaseSpec, Step
from gopub.spec.own import wrong
from gopub.spec.places import same_place
from gopub.spec.route import PARTS
from gopub.spec.route import wrong as wrong_route
from gopub.spec.runtime import wrong_runtime
from gopub.spec.side import wrong_side
from gopub.spec.tree import Path
from gopub.spec.watch import LONGEST as LONGEST_WATCH
from gopub.spec.watch import SHORTEST as SHORTEST_WATCH
from gopub.units import say_seconds

MAX_STEPS = 50
MAX_WORDS = 100
SHORTEST, LONGEST = 300.0, 3650 * 86400.0
"""Seconds over which an error budget can be counted: several scrapes, and what Prometheus takes for a duration."""

_PLACE = re.compile(r"((^|/)(?!-|\.gopub|\.(/|$))[A-Za-z0-9._@+-]+)+")


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule that is broken, and the value to show for it."""

    path: Path
    code: str
    text: str
    hint: str


def problems(spec: ReleaseSpec) -> Iterator[Problem]:
    """Everything that is wrong between the keys of a spec whose single values are right."""
    yield from _targets(spec)
    yield from _made(spec)
    yield from _listed_twice(spec.evidence.sbom, ("evidence", "sbom"))
    if spec.evidence.sign.key is not None and spec.evidence.sign.keyless is not None:
        text = "a release is signed once, and `key` says with what"
        yield Problem(("evidence", "sign", "keyless"), "GP365", text, "leave one of them out")
    for name, environment in spec.environments.items():
        path: Path = ("environments", name)
        for below, *told in wrong_admit(environment.admit):
            yield Problem((*path, "admit", *below), *told)
        for below, *told in wrong_runtime(environment.service.runtime, environment.service.env):
            yield Problem((*path, "service", *below), *told)
        for below, *told in wrong_hooks(environment.compat):
            yield Problem((*path, "compat", *below), *told)
        for below, *told in wrong_side(environment):
            yield Problem((*path, *below), *told)
        yield from _steps(environment.rollout.steps, (*path, "rollout", "steps"))
        yield from _traffic(environment, path)
        yield from _heard(environment, path)
        yield from _deadline(environment, path)
        watch = environment.rollout.watch
        if watch is not None and not SHORTEST_WATCH <= watch.for_ <= LONGEST_WATCH:
            text = f"{say_seconds(watch.for_)} is no time for which a promoted release is watched"
            yield Problem((*path, "rollout", "watch", "for"), "GP574", text, "write 1s to 1d, such as 30m")
        yield from judge_problems(environment.judge, (*path, "judge"))
        yield from _config(environment, path)
    for where, *told in same_place(spec.environments):
        yield Problem(where, *told)


def _made(spec: ReleaseSpec) -> Iterator[Problem]:
    """A program that Go does not build has nothing to tell Go, and a command makes a file."""
    build = spec.build
    if build.command and build.file is None:
        yield Problem(("build", "command"), "GP234", "it makes a file, and `build.file` does not say which",
                      "name the program that it makes: file: orders")  # fmt: skip
    for name in sorted({"main", "go", "ldflags"} & build.model_fields_set if build.file is not None else ()):
        text = "Go builds no program here: `build.file` is the program"
        yield Problem(("build", name), "GP234", text, "leave one of them out")


def judge_problems(judge: Judge, path: Path) -> Iterator[Problem]:
    """What is wrong between the keys of a ``judge`` part, wherever it stands."""
    yield from _score(judge, path)
    yield from _budget(judge.budget, (*path, "budget"))
    if judge.shadow is not None and judge.shadow.budget is not None:
        yield from _budget(judge.shadow.budget, (*path, "shadow", "budget"))
    yield from _promote(judge, path)
    yield from _endpoints(judge.endpoints, (*path, "endpoints"))
    for below, *told in wrong(judge.metrics):
        yield Problem((*path, "metrics", *below), *told)


def _targets(spec: ReleaseSpec) -> Iterator[Problem]:
    targets = spec.build.targets
    yield from _listed_twice(targets, ("build", "targets"))
    if spec.environments and not any(target.startswith("linux/") for target in targets):
        yield Problem(("build", "targets"), "GP126", "no target is linux, and hosts are", "add linux/amd64")


def _listed_twice(values: Sequence[str], path: Path) -> Iterator[Problem]:
    for index, value in enumerate(values):
        if value in values[:index]:
            yield Problem((*path, index), "GP134", f"{value!r} stands twice", "remove one of them")


def _steps(steps: Sequence[Step], path: Path) -> Iterator[Problem]:
    if not 1 <= len(steps) <= MAX_STEPS:
        yield Problem(path, "GP127", f"{len(steps)} steps", f"write 1 to {MAX_STEPS}, or leave the key out")
    hint = "`hosts` counts all steps so far, and `weight` only grows"
    hosts: dict[bool, float] = {}  # a number and a share can only be compared once the hosts are known
    weight = 0.0
    for index, step in enumerate(steps):
        if step.hosts is not None:
            is_share = step.hosts.share is not None
            value = step.hosts.share if step.hosts.share is not None else float(step.hosts.count or 0)
            if value < hosts.get(is_share, 0.0):
                yield Problem((*path, index, "hosts"), "GP127", f"{step.hosts} is less than in a step before", hint)
            hosts[is_share] = value
        if step.weight is not None:
            if step.weight < weight:
                said = say_fraction(step.weight)
                yield Problem((*path, index, "weight"), "GP127", f"{said} is less than in a step before", hint)
            weight = step.weight


def _traffic(environment: Environment, path: Path) -> Iterator[Problem]:
    hint = "name the edges: traffic: edge-prod"
    for index, step in enumerate(environment.rollout.steps):
        here = (*path, "rollout", "steps", index)
        for key, value in (("weight", step.weight), ("route", step.route)):
            if value is not None and environment.traffic is None:
                yield Problem((*here, key), "GP128", "there is no `traffic` to share out", hint)
        if step.weight is not None and round(step.weight * PARTS) == 0:
            text = f"{say_fraction(step.weight)} is no traffic at all"
            yield Problem((*here, "weight"), "GP121", text, "write at least 0.01%")
        if step.weight is not None and step.route is not None:
            yield Problem((*here, "route"), "GP128", "`weight` stands in the same step", "make two steps of it")
    if environment.traffic is None and environment.rollout.keep_stable:
        yield Problem((*path, "rollout", "keep_stable"), "GP128", "there is no `traffic` to compare by", hint)
    if environment.traffic is None:
        yield from _unjudged(environment.judge, (*path, "judge"))


def _heard(environment: Environment, path: Path) -> Iterator[Problem]:
    """What chooses requests must be something that edges hear of them."""
    traffic, steps = environment.traffic, environment.rollout.steps
    if traffic is None:
        return
    trust = bool(traffic.trust)
    if found := useless_key(traffic.sticky, trust=trust):
        yield Problem((*path, "traffic", "sticky"), "GP129", *found)
    for index, step in enumerate(steps):
        for below, text, instead in wrong_route(step.route, trust=trust) if step.route else ():
            yield Problem((*path, "rollout", "steps", index, "route", *below), "GP129", text, instead)


def _unjudged(judge: Judge, path: Path) -> Iterator[Problem]:
    """Without edges nothing is counted: what is said of judging would be ignored in silence."""
    for name, field in Judge.model_fields.items():
        if getattr(judge, name) != field.default:
            text = "there is no `traffic`, and the edges do the counting"
            yield Problem((*path, name), "GP128", text, "name the edges (traffic: edge-prod), or leave it out")


def _deadline(environment: Environment, path: Path) -> Iterator[Problem]:
    rollout = environment.rollout
    baking = sum(step.bake for step in rollout.steps)
    if rollout.deadline is not None and baking >= rollout.deadline:
        text = f"{say_seconds(rollout.deadline)} is over before the steps have baked ({say_seconds(baking)})"
        yield Problem((*path, "rollout", "deadline"), "GP136", text, "raise it, or bake for a shorter time")


def _score(judge: Judge, path: Path) -> Iterator[Problem]:
    if judge.beside is not None:
        yield from _score(judge.beside, (*path, "shadow"))
    score = judge.score
    if score.latency + score.errors + score.gc_pause + score.memory_growth <= 0:
        yield Problem((*path, "score"), "GP133", "all weights are 0", "give at least one dimension a weight")
    if judge.slo.latency_p95 is None and judge.slo.error_rate is None:
        yield Problem((*path, "slo"), "GP133", "no service level is left", "state latency_p95 or error_rate")
    counted = (judge.budget.freeze_below is not None and judge.budget.query is None) or judge.budget.burn != "ignore"
    if counted and not judge.slo.error_rate:
        hint = "state slo.error_rate, or a query that gives the share left"
        yield Problem((*path, "budget"), "GP133", "without an error rate there is no error budget", hint)


def _budget(budget: BudgetSpec, path: Path) -> Iterator[Problem]:
    """A brake that was written and never pulls is worse than none: everybody relies on it."""
    unused = {"query": budget.query is not None, "window": budget.window != BudgetSpec().window}
    for name in (name for name, given in unused.items() if given and "freeze_below" not in budget.model_fields_set):
        text = "nothing stops at any share, so it is not used"
        yield Problem((*path, name), "GP133", text, "write freeze_below as well, such as 20%, or leave it out")
    if not SHORTEST <= budget.window <= LONGEST:
        text = f"{say_seconds(budget.window)} is no time over which a budget can be counted"
        yield Problem((*path, "window"), "GP121", text, "write 5m to 3650d, such as 30d")


def _promote(judge: Judge, path: Path) -> Iterator[Problem]:
    """Counts end a bake by a margin of what may fail; without ``by: evidence`` nobody asks for one.

    Who writes ``by: bake`` as well means it: marks for later may stand beside it.
    """
    if judge.beside is not None and judge.shadow is not None and judge.shadow.promote is not None:
        yield from _promote(judge.beside, (*path, "shadow"))
    promote, usual = judge.promote, PromoteSpec()
    if promote.by == "evidence" and not judge.slo.error_rate:
        text = "without an error rate there is no margin of errors"
        yield Problem((*path, "promote"), "GP133", text, "state slo.error_rate, or bake for the time")
    for name in ("margin", "beta", "observed"):
        if "by" not in promote.model_fields_set and getattr(promote, name) != getattr(usual, name):
            text = "the bake ends by its time alone, so it is not used"
            yield Problem((*path, "promote", name), "GP133", text, "write `by: evidence` as well, or leave it out")


def _endpoints(texts: Sequence[str], path: Path) -> Iterator[Problem]:
    """One that gets no request is watched by nobody, and everybody believes that it is."""
    if len(texts) > MOST_ENDPOINTS:
        hint = f"{MOST_ENDPOINTS} is the most: name those that matter, all others are in the totals"
        yield Problem(path, "GP149", f"{len(texts)} endpoints", hint)
    yield from _listed_twice(texts, path)
    if AUTO in texts[:-1]:
        hint = "write auto last: what is declared goes before, as it is written"
        yield Problem((*path, texts.index(AUTO)), "GP149", "auto is not the last one", hint)
        return
    patterns = [found for text in texts if (found := pattern(text))]
    for at, text in enumerate(texts[: len(patterns)]):
        if (before := hidden_by(patterns, at)) is not None and text not in texts[:at]:
            said = f"{texts[before]!r} comes before {text!r} and takes all of its requests"
            yield Problem((*path, at), "GP149", said, "the first that fits wins: write the narrower one first")


def _config(environment: Environment, path: Path) -> Iterator[Problem]:
    yield from _places(environment, path)
    reloads = [file.to for file in environment.config if file.apply == "reload"]
    for text, hint in wrong_confirm(environment.confirm, reloads, MAX_WORDS):
        yield Problem((*path, "confirm" if environment.confirm else "config"), "GP559", text, hint)
    for index, word in enumerate(environment.config_check):
        if not word:
            hint = "remove it: each word is one argument of the check"
            yield Problem((*path, "config_check", index), "GP137", "the word is empty", hint)
    if environment.config_check and not environment.config:
        text = "there is no `config` to check"
        yield Problem((*path, "config_check"), "GP137", text, "leave it out, or list the files in `config`")
    if environment.compat.config_check == "both" and not environment.config_check:
        text = "old and new shall agree both ways, and no command says whether they do"
        yield Problem((*path, "compat", "config_check"), "GP137", text, "write it as `config_check`, or leave it out")
    if len(environment.config_check) > MAX_WORDS:
        text = f"{len(environment.config_check)} words are too many for an order to a host"
        yield Problem((*path, "config_check"), "GP137", text, f"{MAX_WORDS} is the most: move the rest into a file")


def _places(environment: Environment, path: Path) -> Iterator[Problem]:
    """Each rendered file has a place of its own in the release folder."""
    units = (environment.instance, *(f"{environment.instance}@{slot}" for slot in "ab"))
    taken = {f"{unit}.service": None for unit in units}
    if environment.service.runtime or environment.service.limits.given:
        taken[f"{environment.instance}.runtime"] = None
    for index, file in enumerate(environment.config):
        here = (*path, "config", index, "to")
        if file.to in taken or file.to.partition("/")[0] == "bin":
            yield Problem(here, "GP134", f"{file.to!r} is taken by gopub or by a file before", "choose another")
        elif other := next((to for to in taken if _leads_through(to, file.to) or _leads_through(file.to, to)), ""):
            short, below = sorted((other, file.to), key=len)
            yield Problem(
                here, "GP134", f"{below!r} needs {short!r} to be a folder, and it is a file", "choose another"
            )
        taken[file.to] = None
        yield from _place(file.to, here)


def _leads_through(file: str, path: str) -> bool:
    return path.startswith(f"{file}/")


def fits_archive(path: str) -> bool:
    """Whether the header of a tar archive (ustar) holds the path: 100 characters, and 155 for folders before them."""
    cuts = (at for at, character in enumerate(path) if character == "/")
    return len(path) <= 100 or any(at <= 155 and len(path) - at - 1 <= 100 for at in cuts)


def _place(to: str, path: Path) -> Iterator[Problem]:
    """Where a rendered file lies in the release folder must be a plain name that every host can unpack."""
    if not fits_archive(to):
        text = f"{to!r} has {len(to)} characters, too many for a file of a release"
        yield Problem(path, "GP122", text, "use at most 100 for its name and 155 for its folder")
    elif not _PLACE.fullmatch(to):
        hint = "use letters, digits and ._@+-, no part . and none that begins with a dash or with .gopub"
        yield Problem(path, "GP122", f"{to!r} is no name that a host takes", hint)

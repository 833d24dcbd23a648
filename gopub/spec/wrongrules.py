"""Rules of projects.yaml that do nothing, or never end: told where they stand, before anything waits for them.

What cannot be known from the file is not guessed at: a rule is told only where no event at all could ever match it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from gopub.errors import SpecError
from gopub.spec.explain import at
from gopub.spec.near import did_you_mean
from gopub.spec.sources import ENDS, GOPUB, PUBLISHED, REF, begins_of, fields_of, is_field, seen_of, types_of
from gopub.spec.stars import begins, covers, glob, has_star
from gopub.spec.tree import Node, Path
from gopub.spec.when import Aside, Patterns, When, places

if TYPE_CHECKING:
    from gopub.spec.alerting import Alertmanager
    from gopub.spec.projects import Project, Rule

SHOWN: Mapping[str, str] = {"gitlab": "GitLab", "github": "GitHub", "gitea": "Gitea", "gitee": "Gitee"}
_NEVER = "GP981"
_ENDLESS = "GP983"
_NO_START = "GP984"
_RELEASES = frozenset({"deploy", "order", "release", "rollout", "promote", "approve", "steer"})
"""Our own flows that bring something in, or decide about it."""
_HOST = re.compile(r"[A-Za-z0-9._*-]{1,200}")


def wrong_rules(name: str, app: Project, root: Node, forge: str = "gitlab") -> list[SpecError]:
    """Everything that is wrong with the rules of an app, which hears webhooks of that forge."""
    errors = list[SpecError]()
    for index, rule in enumerate(app.rules):
        here: Path = ("apps", name, "rules", index)
        if rule.when and rule.when.source == "alertmanager":
            errors.append(at(root, (*here, "when", "source"), _NO_START,
                             "a deployment is not started by an alert: it names no version",
                             "put it under alertmanager: runs, with the deployment that it starts"))  # fmt: skip
        elif rule.when:
            errors += wrong_event(rule.when, name, app.envs, root, (*here, "when"))
            if rule.when.source == "gopub" and rule.when.type in GOPUB and rule.when.type not in ENDS:
                errors.append(at(root, (*here, "when", "type"), _NO_START,
                                 f"a deployment is not started by {rule.when.type}: it may be lost, or come twice",
                                 "write the end of a rollout: " + ", ".join(sorted(ENDS))))  # fmt: skip
        errors += wrong_places(rule.reason or "", rule.when, root, (*here, "reason"), forge)
    for index, aside in enumerate(app.may_be_missed):
        errors += _wrong_aside(aside, name, app.envs, root, ("apps", name, "may_be_missed", index))
    return errors or [*_shadowed(name, app, root), *_endless(name, app, root)]


def wrong_alerts(wanted: Alertmanager, root: Node) -> Iterator[SpecError]:
    """What of the runs that alerts start can never be, or must not."""
    for index, one in enumerate(wanted.runs):
        here: Path = ("alertmanager", "runs", index)
        if one.when.source != "alertmanager":
            yield at(root, (*here, "when", "source"), _NEVER, f"no alert comes from {one.when.source}",
                     "write alertmanager, or put it under rules of an app")  # fmt: skip
            continue
        yield from wrong_event(one.when, "", (), root, (*here, "when"))
        if one.run.partition("/")[0] in _RELEASES:
            yield at(root, (*here, "run"), _NO_START, f"an alert names no version for {one.run}",
                     "name a deployment of yours: one that looks, pages somebody or mends")  # fmt: skip
        for key, text in one.parameters.items():
            yield from wrong_places(text, one.when, root, (*here, "parameters", key))


def wrong_event(when: When, app: str, envs: Collection[str], root: Node, here: Path) -> Iterator[SpecError]:
    """What of it no event can be."""
    if when.type not in types_of(when.source):
        known = types_of(when.source)
        hint = did_you_mean(when.type, known, otherwise="known: " + ", ".join(known))
        yield at(root, (*here, "type"), _NEVER, f"{when.source} has no event {when.type!r}", hint)
        return
    for path, patterns in when.match.items():
        there = (*here, "match", path)
        if not is_field(when.source, when.type, path):
            yield _no_field(root, (*there, "[key]"), when.source, when.type, path)
            continue
        for index, pattern in enumerate(patterns):
            if why := _impossible(when, path, pattern, app, envs):
                place = (*there, index) if len(patterns) > 1 else there
                yield at(root, place, _NEVER, f"{pattern!r} can never match: {why[0]}", why[1])


def _wrong_aside(aside: Aside, app: str, envs: Collection[str], root: Node, here: Path) -> Iterator[SpecError]:
    """What of an automation the Prefect server could not do: it sees an event's labels, and not what is in it."""
    when = aside.when
    if when.source != "gopub":
        alert = when.source == "alertmanager"
        whose, where = ("Alertmanager", "alertmanager: runs") if alert else (SHOWN[when.source], "rules")
        yield at(root, (*here, "when", "source"), _NEVER, f"a delivery of {whose} is no event of the Prefect server",
                 f"put it under {where}: what a delivery starts is not missed")  # fmt: skip
        return
    yield from wrong_event(when, app, envs, root, (*here, "when"))
    known = seen_of(when.type)
    for path, patterns in when.match.items():
        if is_field("gopub", when.type, path) and path not in known:
            yield at(
                root,
                (*here, "when", "match", path, "[key]"),
                _NEVER,
                f"an automation cannot ask for {path} of {when.type}",
                "it can for " + ", ".join(known),
            )
        for pattern in patterns:
            if path == "payload.host" and not _HOST.fullmatch(pattern):
                yield at(root, (*here, "when", "match", path), _NEVER, f"no host is called {pattern!r}",
                         "write letters, digits, dots, dashes and *")  # fmt: skip
    for key, text in aside.texts().items():
        place = ("text",) if key == "text" and aside.text else ("parameters", key)
        yield from wrong_places(text, when, root, (*here, *place))
        for path in places(text):
            if path == "release" or (path in {"env", "rollout"} and when.type == PUBLISHED):
                yield _no_field(root, (*here, *place), "gopub", when.type, path)


def wrong_places(
    template: str, when: When | None, root: Node, here: Path, forge: str = "gitlab"
) -> Iterator[SpecError]:
    """Fields that a text takes and that the event does not have; ``forge`` is whose pushes a short rule means."""
    source, type_ = (when.source, when.type) if when else (forge, "push")
    for path in places(template):
        if type_ in types_of(source) and not is_field(source, type_, path):
            yield _no_field(root, here, source, type_, path)


def _no_field(root: Node, here: Path, source: str, type_: str, path: str) -> SpecError:
    known = sorted(fields_of(source, type_))
    hint = did_you_mean(path, known, otherwise="known: " + ", ".join(known))
    return at(root, here, _NEVER, f"{type_} of {source} has no field {path!r}", hint)


def _impossible(when: When, path: str, pattern: str, app: str, envs: Collection[str]) -> tuple[str, str] | None:
    """Why nothing can match the pattern, and what to write; None where something may."""
    if path == REF and when.type in begins_of(when.source):
        start, all_ = begins(pattern), begins_of(when.source)[when.type]
        fits = any(start.startswith(mine) or (has_star(pattern) and mine.startswith(start)) for mine in all_)
        said = " or ".join(all_)
        return None if fits else (f"the ref of a {when.type} begins with {said}", f'write "{all_[0]}{pattern}"')
    known = {"env": envs, "app": (app,)}.get(path, ()) if when.source == "gopub" else ()
    if known and not any(glob(pattern).matches(one) for one in known):
        return f"{app} has no such {path}", "write " + " or ".join(known)
    return None


def _shadowed(name: str, app: Project, root: Node) -> Iterator[SpecError]:
    """Rules that an earlier one leaves nothing to: the first that matches counts."""
    for later, rule in enumerate(app.rules):
        for earlier, before in enumerate(app.rules[:later]):
            if _hides(before, rule, app.envs):
                yield at(root, ("apps", name, "rules", later), _NEVER,
                         f"this rule can never match: rules[{earlier}] matches all that it does, and comes first",
                         "put it before that one, or remove it")  # fmt: skip
                break


def _hides(before: Rule, rule: Rule, envs: Collection[str]) -> bool:
    """Whether the first one matches all that the other does, wherever each of them leads."""
    if rule.when:
        return _leaves_nothing(before, rule.when, envs)
    return before.when is None and _all_covered(before.patterns(), rule.patterns())


def _leaves_nothing(before: Rule, when: When, envs: Collection[str]) -> bool:
    if before.when is None:
        wide: Mapping[str, tuple[str, ...]] = {REF: before.patterns()}
        same = when.type in begins_of(when.source)
    else:
        wide, same = before.when.match, (before.when.source, before.when.type) == (when.source, when.type)
    return same and all(_all_covered(patterns, _meant(when, path, envs)) for path, patterns in wide.items())


def _all_covered(wide: Patterns, narrow: Collection[str]) -> bool:
    return bool(narrow) and all(any(covers(one, other) for one in wide) for other in narrow)


def _meant(when: When, path: str, envs: Collection[str]) -> Collection[str]:
    """The patterns of a field; where the rule names none, what the field can be, as far as that is known."""
    if path in when.match:
        return when.match[path]
    if when.source == "gopub":
        return envs if path == "env" else ()
    return tuple(f"{one}**" for one in begins_of(when.source).get(when.type, ())) if path == REF else ()


def sources(when: When, envs: Collection[str]) -> tuple[str, ...]:
    """The environments whose events are meant."""
    patterns = when.match.get("env", ("**",))
    return tuple(env for env in envs if any(glob(pattern).matches(env) for pattern in patterns))


def _endless(name: str, app: Project, root: Node) -> Iterator[SpecError]:
    """The first rule whose rollout would, at the end of the chain, start it again."""
    next_of: dict[str, list[str]] = {}
    for rule in app.rules:
        if rule.when and rule.when.source == "gopub" and rule.env:
            for env in sources(rule.when, app.envs):
                next_of.setdefault(env, []).append(rule.env)
    for index, rule in enumerate(app.rules):
        if rule.when and rule.when.source == "gopub" and rule.env:
            for env in sources(rule.when, app.envs):
                if way := _way(next_of, rule.env, env):
                    round_ = " → ".join((env, *way))
                    yield at(root, ("apps", name, "rules", index, "env"), _ENDLESS,
                             f"this rule would start itself again, for ever: {round_}",
                             "let a chain of rules end in an environment that starts nothing")  # fmt: skip
                    return


def _way(next_of: Mapping[str, Collection[str]], begin: str, end: str) -> tuple[str, ...]:
    """The envs from one to the other along the rules, both included; none where no rules lead there."""
    ways: list[tuple[str, ...]] = [(begin,)]
    seen = {begin}
    while ways:
        way = ways.pop(0)
        if way[-1] == end:
            return way
        for env in next_of.get(way[-1], ()):
            if env not in seen:
                seen.add(env)
                ways.append((*way, env))
    return ()

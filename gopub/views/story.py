"""A rollout as a story: what was seen, what was concluded, what that rested on, and what was not seen. Pure."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from gopub.canon import Json
from gopub.errors import UsageError
from gopub.health.samples import ProcessHealth
from gopub.health.wire import from_json
from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.judge.decision import OVERWHELMING
from gopub.judge.processes import say_host
from gopub.judge.verdict import Cause, Kind
from gopub.telemetry import one_line
from gopub.units import say_about
from gopub.views.amounts import count, names, short, took
from gopub.views.looks import Look, figure, looks_of, tree
from gopub.views.plots import mebibytes, power, unwatched
from gopub.views.sentence_zh import sentence_zh
from gopub.views.verdict import because, verdict_view, whole_of
from gopub.views.wording import WORDS
from gopub.views.wording_zh import CAUSES, KINDS, OUTCOMES

E = TypeVar("E")
_HOSTS = 3
"""Hosts whose processes are told."""


def story(entries: Sequence[Entry], lang: str = "en", looked: int | None = None) -> list[str]:
    """The lines of the story; none where nobody opened the rollout. What others wrote adds no line of its own.

    ``looked`` is how many looks there were, where ``entries`` lack some of them (`Course`): it says so then.
    """
    opened = _last(entries, ev.Opened)
    if opened is None:
        return []
    words, parts = WORDS[lang], parts_of_story(entries, lang, looked)
    broad = max(_columns(part) for part, _ in parts) + 3
    lines = [words["title"].format(app=opened.app, version=opened.version, env=opened.env)]
    for part, told in parts:
        head = f"{part}{':' if lang == 'en' else '：'}"
        for place, line in enumerate(told):
            begin = head if place == 0 else ""
            lines.append(f"{begin}{' ' * (broad - _columns(begin))}{line}")
    return [one_line(line) for line in lines]


def parts_of_story(
    entries: Sequence[Entry], lang: str = "en", looked: int | None = None
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Its four parts, each with its name and what it tells: seen, concluded, rested on, not seen."""
    seen = [tree(one.event.record, "record", "observation") for one in entries if isinstance(one.event, ev.Judged)]
    looks = looks_of(entries)
    many = len(looks) if looked is None else looked
    words = _words_of(len(looks), many, lang)
    parts = {
        "part_seen": tuple(_seen(entries, looks, many, seen, words)),
        "part_concluded": (_concluded(entries, lang, words),),
        "part_rested": tuple(_rested(entries, looks, seen, words)),
        "part_unseen": tuple(_unseen(entries, looks, seen, words)) or (words["all_seen"],),
    }
    return tuple((words[part], told) for part, told in parts.items())


def _words_of(kept: int, many: int, lang: str) -> Mapping[str, str]:
    """The words of this language; where looks are left out, what is counted is said to be counted in the others."""
    words = WORDS[lang]
    if kept >= many:
        return words
    return {**words, **{key: words[f"{key}_some"] for key in ("looks", "blind", "silent", "all_seen")}}


def _seen(
    entries: Sequence[Entry],
    looks: Sequence[Look],
    many: int,
    seen: Sequence[Mapping[str, Json]],
    words: Mapping[str, str],
) -> Iterator[str]:
    if not looks:
        yield words["no_looks"]
        return
    planned, steps = _last(entries, ev.Planned), {look.step for look in looks}
    time = say_about(max(looks[-1].at - looks[0].at, 0.0))
    yield words["looks"].format(looks=count(many), time=time, steps=len(steps), kept=len(looks),
                                planned=len(planned.plan.steps) if planned else len(steps))  # fmt: skip
    totals = tree(seen[-1], "rollout_totals")
    for name in ("canary", "stable"):
        bad, of = (figure(totals.get(f"{name}_{what}")) for what in ("errors", "requests"))
        if bad is not None and of is not None:
            which = "failed_of" if of else "none_counted"
            yield words[which].format(name=words[name], bad=count(round(bad)), of=count(round(of)))
    ours, theirs = looks[-1].canary.p95, looks[-1].stable.p95
    if ours is not None or theirs is not None:
        said = [words["unknown"] if p95 is None else took(p95) for p95 in (ours, theirs)]
        yield words["p95"].format(canary=said[0], stable=said[1])
    told = [look.memory for look in looks if look.memory]
    if told:
        host = max(told[-1], key=lambda name: (told[-1][name], name))
        first = next(memory[host] for memory in told if host in memory)
        yield words["grew"].format(host=host, first=mebibytes(first), last=mebibytes(told[-1][host]))
    yield from (words["host_says"].format(host=host, says=says) for host, says in _uses(seen[-1].get("hosts")))


def _uses(found: Json) -> Iterator[tuple[str, str]]:
    """What the hosts of a record say of their processes; a record that was damaged says nothing."""
    for one in found[:_HOSTS] if isinstance(found, list) else ():
        try:
            host = from_json(ProcessHealth, one)
        except UsageError:
            continue
        if says := say_host(host):
            yield host.host, says


def _concluded(entries: Sequence[Entry], lang: str, words: Mapping[str, str]) -> str:
    closed, judged = _last(entries, ev.Closed), _last(entries, ev.Judged)
    back = _last(entries, ev.GoingBack)
    if closed is None and back is not None:
        why = verdict_words(judged, lang) if judged and back.reason == judged.reason else back.reason
        return words["concluded"].format(outcome=words["going_back"], why=why)
    if closed is None:
        waiting = _last(entries, ev.Waiting)
        why = verdict_words(judged, lang) if judged else waiting.why if waiting else words["nothing_yet"]
        return words["concluded"].format(outcome=words["under_way"], why=why)
    outcome = OUTCOMES[closed.outcome] if lang == "zh" else closed.outcome.value
    by = judged is not None and closed.reason in ("", judged.reason)
    why = verdict_words(judged, lang) if judged and by else because(judged, closed.reason)
    return words["concluded"].format(outcome=outcome, why=why) if why else outcome


def verdict_words(judged: ev.Judged, lang: str) -> str:
    """The verdict in a sentence of this language."""
    if lang != "zh":
        return verdict_view(judged).says
    if (record := whole_of(judged)) is not None:
        try:
            return sentence_zh(record)
        except (ArithmeticError, ValueError, OSError):  # a time or a count that no judge writes: it was changed
            pass
    cause = str(tree(judged.record, "record", "verdict").get("cause") or "")
    known = Cause(cause) if cause in {one.value for one in Cause} else Cause.UNSAID
    kind = KINDS[Kind(judged.kind)] if judged.kind in {one.value for one in Kind} else judged.kind
    return f"{CAUSES[known]}：{kind}"


def _rested(
    entries: Sequence[Entry], looks: Sequence[Look], seen: Sequence[Mapping[str, Json]], words: Mapping[str, str]
) -> Iterator[str]:
    judged = _last(entries, ev.Judged)
    if judged is not None:
        yield words["rule"].format(kind=judged.kind, rule=judged.rule, reason=judged.reason)
        last, basis = looks[-1], str(tree(seen[-1], "evidence").get("basis") or "none")
        if last.log_e is not None and last.alpha:
            sure, far = power(-math.log10(last.alpha)), power(math.log10(OVERWHELMING / last.alpha))
            against = words.get(f"basis_{basis}", words["basis_none"])
            yield words["e"].format(e=power(last.log_e), limit=sure, far=far, basis=against)
        queries = seen[-1].get("queries")
        if isinstance(queries, list) and queries:
            yield words["queries"].format(queries=len(queries))
    if (planned := _last(entries, ev.Planned)) and planned.plan.kept:
        yield words["beside"].format(hosts=names(planned.plan.kept))
    if admitted := _last(entries, ev.Admitted):
        yield words["checks"].format(checks=len(admitted.checks))
    last_hash = entries[-1].hash[:16]
    many = max(len(entries), entries[-1].version)
    yield words["kept" if last_hash else "kept_away"].format(entries=count(many), hash=last_hash)


def _unseen(
    entries: Sequence[Entry], looks: Sequence[Look], seen: Sequence[Mapping[str, Json]], words: Mapping[str, str]
) -> Iterator[str]:
    if not looks:
        yield words["no_looks"]
        return
    if blind := [str(one["no_data"]) for one in seen if one.get("no_data")]:
        yield words["blind"].format(count=len(blind), looks=len(looks), why=short(blind[-1]))
    lost = [found for one in seen if (found := _hosts(one.get("hosts"), "reachable", value=False))]
    if lost:
        silent = sorted({name for found in lost for name in found})
        yield words["silent"].format(hosts=names(silent), count=len(lost), looks=len(looks))
    if gaps := sum(after - before for before, after in unwatched([look.at for look in looks])):
        yield words["gaps"].format(time=say_about(gaps))
    planned = _last(entries, ev.Planned)
    if planned and planned.plan.stable is None:
        yield words["first"]
    last = seen[-1]
    if last.get("log_score") is None:
        yield words["no_logs"].format(why=short(str(last.get("log_note") or words["no_reason"])))
    if tree(last, "score").get("value") is None:
        yield words["no_score"]
    told = last.get("notes")
    yield from (words["noted"].format(note=short(str(note))) for note in (told if isinstance(told, list) else ()))
    if aside := _hosts(last.get("aside")):
        yield words["aside"].format(hosts=names(aside))
    if warming := figure(tree(last, "warming").get("timed")):
        yield words["warming"].format(count=count(round(warming)))


def _hosts(found: Json, name: str = "", *, value: Json = None) -> list[str]:
    """The names of these hosts, of those alone that have this value."""
    each = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return [str(one.get("host")) for one in each if not name or one.get(name) is value]


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _last(entries: Sequence[Entry], kind: type[E]) -> E | None:
    return next((one.event for one in reversed(entries) if isinstance(one.event, kind)), None)

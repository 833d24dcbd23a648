"""A rollout as a report: one file for who was not there. From the journal alone, as HTML or Markdown. Pure.

It tells what was released, what proves it, the steps, what was seen and concluded, who had a say, and what is owed,
with the picture in it. The HTML has no script and fetches nothing; whatever others wrote in names, reasons and log
lines is text in both. The same journal gives the same bytes.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.plan.model import Outcome
from gopub.units import say_seconds
from gopub.views.explanation import explanation
from gopub.views.looks import moment
from gopub.views.pages import shown
from gopub.views.plots import plot
from gopub.views.report_words import REPORT_WORDS
from gopub.views.story import parts_of_story, verdict_words
from gopub.views.svg import said
from gopub.views.verdict import verdict_view
from gopub.views.wording import WORDS

E = TypeVar("E")
_VERDICTS = 40
"""Verdicts that are listed at most: those that differ from the one before, the last ones."""
_GOOD, _BAD = "good", "bad"
_STYLE = (
    ":root{--page:#fff;--ink:#1f2328;--faint:#59636e;--line:#d8dee4;--good:#0550ae;--bad:#b93d00;"
    "color-scheme:light dark}@media(prefers-color-scheme:dark){:root{--page:#0d1117;--ink:#e6edf3;--faint:#9aa4ae;"
    "--line:#30363d;--good:#79c0ff;--bad:#ffa657}}section>svg{display:block}"
    "body{margin:0 auto;max-width:46rem;padding:1rem;background:var(--page);color:var(--ink);"
    "font:16px/1.5 system-ui,'Noto Sans CJK SC',sans-serif;overflow-wrap:anywhere}"
    "h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:1.6rem 0 .4rem;border-bottom:1px solid var(--line)}"
    ".verdict{border-left:.3rem solid var(--faint);padding:.2rem .8rem;margin:1rem 0}"
    ".verdict.good{border-color:var(--good)}.verdict.bad{border-color:var(--bad)}"
    "p,ul,dl{margin:.3rem 0}ul{padding-left:1.2rem}dt{color:var(--faint);font-size:.85rem}dd{margin:0 0 .4rem}"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}"
    "th{text-align:left;color:var(--faint);font-weight:400}th,td{padding:.25rem .6rem .25rem 0;vertical-align:top;"
    "border-bottom:1px solid var(--line);overflow-wrap:normal}td:last-child{overflow-wrap:anywhere}"
    ".aside{color:var(--faint);font-size:.85rem}pre{white-space:pre-wrap;font-size:.8rem}"
    "@media print{details>*{display:block}body{max-width:none}}"
)


@dataclass(frozen=True, slots=True)
class Section:
    """A part under one heading: pairs of a name and a value, lines, or a table."""

    head: str
    pairs: tuple[tuple[str, str], ...] = ()
    lines: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says, before it is markup of any kind; ``tone`` is good, bad or empty."""

    lang: str
    title: str
    of: str
    verdict: str
    tone: str
    sections: tuple[Section, ...]
    after: tuple[Section, ...]
    """What comes below the picture."""
    picture: str
    chain_head: str
    chain: tuple[str, ...]
    made: str
    words: Mapping[str, str] = field(default_factory=dict)


def report_of(entries: Sequence[Entry], asked: Sequence[ev.Asked] = (), lang: str = "en") -> Report | None:
    """The report on a rollout; None where nobody opened it."""
    opened = _last(entries, ev.Opened)
    if opened is None:
        return None
    words, named = REPORT_WORDS[lang], {"app": opened.app, "version": opened.version, "env": opened.env}
    heads = ("seen", "verdict", "rested", "unseen")
    seen, concluded, rested, unseen = (
        Section(words[head], lines=told) for head, (_, told) in zip(heads, parts_of_story(entries, lang), strict=True)
    )
    return Report(
        lang=lang,
        title=WORDS[lang]["title"].format(**named),
        of=words["of"].format(rollout=opened.rollout),
        verdict=concluded.lines[0],
        tone=_tone(entries),
        sections=(_what(entries, opened, words), _proof(entries, words), _steps(entries, words), seen, rested, unseen),
        after=(_verdicts(entries, words, lang), _people(asked, words), _owed(entries, words)),
        picture=plot(entries, lang),
        chain_head=words["chain"],
        chain=tuple(explanation(entries)),
        made=words["made"].format(entries=len(entries), hash=entries[-1].hash[:16]),
        words=words,
    )


def _tone(entries: Sequence[Entry]) -> str:
    closed = _last(entries, ev.Closed)
    if closed is None:
        return _BAD if _last(entries, ev.GoingBack) else ""
    return _GOOD if closed.outcome in (Outcome.PROMOTED, Outcome.MENDED) else _BAD


def _what(entries: Sequence[Entry], opened: ev.Opened, words: Mapping[str, str]) -> Section:
    planned = _last(entries, ev.Planned)
    pairs = [(words["version"], opened.version), (words["release"], opened.release)]
    if planned:
        before = planned.plan.stable
        pairs.append((words["stable"], f"{before.version} ({before.short})" if before else words["first"]))
        pairs += [
            (words["files"].format(target=target), f"sha256:{digest}") for target, digest in planned.plan.binaries
        ]
    pairs.append((words["asked"], f"{entries[0].actor}, {_utc(entries[0].at)} UTC"))
    pairs += [(words["because"], opened.reason)] if opened.reason else []
    return Section(words["what"], pairs=tuple(pairs))


def _proof(entries: Sequence[Entry], words: Mapping[str, str]) -> Section:
    if admitted := _last(entries, ev.Admitted):
        return Section(words["proof"], lines=admitted.checks)
    if refused := _last(entries, ev.Refused):
        return Section(words["refused"], lines=refused.reasons)
    return Section(words["proof"], lines=(words["unproved"],))


def _steps(entries: Sequence[Entry], words: Mapping[str, str]) -> Section:
    planned = _last(entries, ev.Planned)
    if planned is None:
        return Section(words["steps"], lines=(words["no_plan"],))
    reached = {one.event.step: one.event.at for one in entries if isinstance(one.event, ev.StepReached)}
    passed = {one.event.step: one.event.by for one in entries if isinstance(one.event, ev.StepPassed)}
    rows = tuple(
        (str(step.index + 1), step.says, say_seconds(step.bake),
         _utc(reached[step.index]) if step.index in reached else words["never"],
         passed.get(step.index, words["not"] if step.index in reached else ""))
        for step in planned.plan.steps
    )  # fmt: skip
    return Section(words["steps"], columns=tuple(words[one] for one in ("step", "plan", "bake", "reached", "passed")),
                   rows=rows)  # fmt: skip


def _people(asked: Sequence[ev.Asked], words: Mapping[str, str]) -> Section:
    lines = tuple(
        f"{_utc(one.at)}  "
        + words["said_why" if one.reason else "said"].format(actor=one.actor or "?", what=one.what, reason=one.reason)
        for one in asked
    )
    return Section(words["people"], lines=lines or (words["nobody"],))


def _verdicts(entries: Sequence[Entry], words: Mapping[str, str], lang: str) -> Section:
    """Each that differs from the one before, with its sentence; the figures are in the chain."""
    rows: list[tuple[str, ...]] = []
    before: tuple[object, ...] = ()
    total = 0
    for entry in entries:
        if isinstance(entry.event, ev.Judged):
            total += 1
            matter = (entry.event.step, *verdict_view(entry.event).matter)
            if matter != before:
                rows.append((_utc(entry.at), str(entry.event.step + 1), verdict_words(entry.event, lang)))
            before = matter
    if not rows:
        return Section(words["verdicts"], lines=(words["unjudged"],))
    shown_rows = tuple(rows[-_VERDICTS:])
    left = total - len(shown_rows)
    return Section(words["verdicts"], lines=(words["fewer"].format(count=left),) if left else (),
                   columns=("UTC", words["step"], words["verdict"]), rows=shown_rows)  # fmt: skip


def _owed(entries: Sequence[Entry], words: Mapping[str, str]) -> Section:
    closed = _last(entries, ev.Closed)
    owed = (*closed.owed, *closed.owed_edges) if closed else ()
    why = {one.event.host: one.event.why for one in entries if isinstance(one.event, ev.HostOwed)}
    lines = tuple(f"{name}: {why[name]}" if name in why else name for name in owed)
    return Section(words["owed"], lines=lines or (words["nothing_owed"],))


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S") if moment(at) else "?"


def _last(entries: Sequence[Entry], kind: type[E]) -> E | None:
    return next((one.event for one in reversed(entries) if isinstance(one.event, kind)), None)


# --- as HTML


def html(report: Report) -> str:
    """The whole file."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    body = "\n".join((
        f'<header><h1>{said(report.title)}</h1><p class="aside">{said(report.of)}</p></header>',
        f'<p class="verdict {report.tone}">{said(report.verdict)}</p>',
        *(_html(one) for one in report.sections),
        f"<section><h2>{said(report.words['picture'])}</h2>\n{report.picture}</section>",
        *(_html(one) for one in report.after),
        f"<details><summary>{said(report.chain_head)}</summary><pre>{_lines(report.chain)}</pre></details>",
        f'<footer class="aside"><p>{said(report.made)}</p></footer>',
    ))  # fmt: skip
    return (
        f'<!DOCTYPE html>\n<html lang="{said(report.lang)}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{said(report.title)}</title><style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _lines(lines: Sequence[str]) -> str:
    return "\n".join(said(line) for line in lines)


def _html(section: Section) -> str:
    return f"<section><h2>{said(section.head)}</h2>\n{''.join(_inside(section))}</section>"


def _inside(section: Section) -> Iterator[str]:
    if section.pairs:
        yield f"<dl>{''.join(f'<dt>{said(name)}</dt><dd>{said(value)}</dd>' for name, value in section.pairs)}</dl>"
    if section.rows:
        heads = "".join(f"<th>{said(name)}</th>" for name in section.columns)
        rows = "".join(f"<tr>{''.join(f'<td>{said(cell)}</td>' for cell in row)}</tr>" for row in section.rows)
        yield f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    if len(section.lines) == 1:
        yield f"<p>{said(section.lines[0])}</p>"
    elif section.lines:
        yield f"<ul>{''.join(f'<li>{said(line)}</li>' for line in section.lines)}</ul>"


# --- as Markdown


def markdown(report: Report) -> str:
    """The whole text; the picture is an image whose data is in the text."""
    data = base64.b64encode(report.picture.encode()).decode()
    parts = [f"# {shown(report.title)}", shown(report.of), f"**{shown(report.verdict)}**"]
    parts += [text for one in report.sections for text in _marked(one)]
    parts += [f"## {report.words['picture']}", f"![{shown(report.title)}](data:image/svg+xml;base64,{data})"]
    parts += [text for one in report.after for text in _marked(one)]
    chain = "\n".join(f"{'  ' * line.startswith(' ')}- {shown(line.strip())}" for line in report.chain)
    return "\n\n".join([*parts, f"## {report.chain_head}", chain, shown(report.made)]) + "\n"


def _marked(section: Section) -> Iterator[str]:
    yield f"## {shown(section.head)}"
    if section.pairs:
        yield "\n".join(f"- {shown(name)}: {shown(value)}" for name, value in section.pairs)
    if section.rows:
        table = [section.columns, tuple("---" for _ in section.columns), *section.rows]
        dashes = ("---",) * len(section.columns)
        yield "\n".join(f"| {' | '.join(row if row == dashes else map(shown, row))} |" for row in table)
    if section.lines:
        yield "\n".join(f"- {shown(line)}" for line in section.lines)

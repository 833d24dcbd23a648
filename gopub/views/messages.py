"""News as messages to people, in English and Chinese: one sentence first, then figures, then the command to run. Pure.

Reasons, versions and what hosts said are somebody else's words, and a message ends in chat rooms and mails that obey
markup: what opens a tag, a link, a mention or a block of code there is replaced by a character that looks alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gopub.canon import bounded
from gopub.journal import events as ev
from gopub.journal.state import State
from gopub.journal.transitions import Phase
from gopub.notify.message import About, Message, Tone
from gopub.plan.model import Outcome
from gopub.telemetry import one_line
from gopub.views.news import Loss, News
from gopub.views.sentence_zh import sentence_zh
from gopub.views.standing import moment
from gopub.views.verdict import because, verdict_view, whole_of

_TAME = str.maketrans({"<": "‹", ">": "›", "[": "［", "]": "］", "@": "＠", "`": "ˋ", "\\": "＼"})
_LONGEST = 600
_NAMED = 10
_TONES = {"promoted": Tone.GOOD, "rolled-back": Tone.BAD, "withdrawn": Tone.WARNING, "owed": Tone.WARNING,
          "stuck": Tone.WARNING, "approval-needed": Tone.INFO}  # fmt: skip
_Words = Mapping[str, str]
_EN: _Words = {
    "promoted": "{release} is now stable in {env}.",
    "rolled-back": "{release} was taken back from {env}; {before}: {why}",
    "failed": "{release} failed in {env}, and nothing was there before to go back to: {why}",
    "withdrawn": "{release} was withdrawn from {env} and is not blamed; {before}: {why}",
    "owed": "Not all of {env} could be confirmed after {release}.",
    "stuck": "{release} does not go on in {env}: {why}",
    "watched": "{release} is promoted in {env}, watched, and left there: {why}",
    "approval-needed": "{release} waits in {env} for an approval by {who} before step {step} of {steps}.",
    "nobody": "nobody has driven it since {since}.",
    "dies": "{times} drivers in a row ended without getting any further, the last one at {since}.",
    "waits": "it has waited since {since}, longer than it may take: {gate}.",
    "title": "{release} in {env}: {about}",
    "before": "{version} runs again",
    "no before": "there was nothing before",
    "no why": "no reason was given",
    "step": "Step {step} of {steps}: {hosts} of {all} hosts, {weight} of the traffic.",
    "hosts": "Owed hosts: {names}.",
    "edges": "Owed edges: {names}.",
    "more": "{names} and {count} more",
    "when": "Rollout {rollout}, {at}.",
    "next": "Next: {command}",
    "or": "{one} or {other}",
    "trial": "This is a test of gopub: {app} in {env} tells you here.",
    "trial title": "{app} in {env}: test",
}
_ZH: _Words = {
    "promoted": "{release} 已成为 {env} 的稳定版。",
    "rolled-back": "{release} 已从 {env} 退回，{before}：{why}",
    "failed": "{release} 在 {env} 发布失败，此前没有可退回的版本：{why}",
    "withdrawn": "{release} 已从 {env} 撤回，不归咎于此版本，{before}：{why}",
    "owed": "{release} 之后，{env} 有主机或边缘未能确认。",
    "stuck": "{release} 在 {env} 停住不前：{why}",
    "watched": "{release} 已在 {env} 全量上线，观察中，保持不动：{why}",
    "approval-needed": "{release} 在 {env} 等待 {who} 批准后进入第 {step} 步（共 {steps} 步）。",
    "nobody": "自 {since} 起没有进程在推进它。",
    "dies": "连续 {times} 个进程结束而毫无进展，最近一次在 {since}。",
    "waits": "自 {since} 起一直在等待，已超过允许的时长：{gate}。",
    "title": "{release} 发布到 {env}：{about}",
    "before": "恢复运行 {version}",
    "no before": "此前没有版本",
    "no why": "未说明原因",
    "step": "第 {step} 步（共 {steps} 步）：{all} 台主机中的 {hosts} 台，{weight} 的流量。",
    "hosts": "未确认的主机：{names}。",
    "edges": "未确认的边缘：{names}。",
    "more": "{names} 等，另有 {count} 个",
    "when": "发布 {rollout}，{at}。",
    "next": "接下来：{command}",
    "or": "{one} 或 {other}",
    "trial": "这是 gopub 的测试消息：{app} 在 {env} 的发布会通知到这里。",
    "trial title": "{app} 的 {env}：测试",
}
_ABOUT_ZH = {"promoted": "已上线", "rolled-back": "已退回", "withdrawn": "已撤回", "owed": "有未确认的主机",
             "stuck": "停住不前", "approval-needed": "等待批准"}  # fmt: skip


def message(news: News, lang: str) -> Message:
    """What is sent."""
    words, state = _ZH if lang == "zh" else _EN, news.state
    named = {"release": tame(f"{state.app} {state.release_version}"), "env": tame(state.env)}
    about = news.about[0]
    label = _ABOUT_ZH[about] if lang == "zh" else about.replace("-", " ")
    figures = [*_step(news, words), *_owed(state, words)]
    when = words["when"].format(rollout=tame(state.rollout), at=_clock(news.at))
    command = words["next"].format(command=_next(news, words))
    lines = (_sentence(news, words, lang, named), *figures, when, command)
    return Message(words["title"].format(about=label, **named), "\n".join(lines), _TONES[about])


def _clock(at: float) -> str:
    return f"{moment(at)[:16].replace('T', ' ')} UTC"


def trial(app: str, env: str, lang: str) -> Message:
    """What `gopub notify test` sends."""
    words, named = _ZH if lang == "zh" else _EN, {"app": tame(app), "env": tame(env)}
    about = About(app, env, event="test", key="test")
    return Message(words["trial title"].format(**named), words["trial"].format(**named), about=about)


def tame(text: str) -> str:
    """Somebody else's words, on one line, bounded, with nothing in them that a chat room or a mail obeys."""
    return bounded(one_line(text), _LONGEST).translate(_TAME)


def _sentence(news: News, words: _Words, lang: str, named: Mapping[str, str]) -> str:
    state, about = news.state, news.about[0]
    if state.closed and state.closed.outcome is Outcome.FAILED and about == "rolled-back":
        about = "failed"
    if about == "stuck" and state.phase is Phase.WATCHING:
        about = "watched"
    plan = state.plan
    before = words["before"].format(version=tame(plan.stable.version)) if plan and plan.stable else words["no before"]
    steps = plan.steps if plan else ()
    who = tame(steps[news.step].approve) if news.step is not None and news.step < len(steps) else ""
    why = _lost(news, words) or tame(_why(state, lang)) or words["no why"]
    step = (news.step or 0) + 1
    return words[about].format(before=before, why=why, who=who, step=step, steps=len(steps), **named)


def _lost(news: News, words: _Words) -> str:
    """Why it does not go on, where no driver says so; empty where one does."""
    lost = news.lost
    if lost is None:
        return ""
    gate = tame(news.state.waiting)
    return words[lost.why].format(since=_clock(lost.since), times=lost.times, gate=gate)


def _why(state: State, lang: str) -> str:
    """The words of the verdict where it was one; else the reason as it is kept."""
    judged = state.verdict
    if state.phase is Phase.WATCHING and state.watched is not None:
        return state.watched.says
    if state.closed is None:
        return _says(judged, lang) if judged else ""
    reason = state.closed.reason
    if lang == "zh" and judged is not None and reason and judged.reason == reason:
        return _says(judged, lang)
    return because(judged, reason)


def _says(judged: ev.Judged, lang: str) -> str:
    if lang == "zh" and (whole := whole_of(judged)) is not None:
        try:
            return sentence_zh(whole)
        except (ArithmeticError, ValueError, OSError, LookupError):  # figures that no judge writes
            return judged.reason
    return verdict_view(judged).says


def _step(news: News, words: _Words) -> Sequence[str]:
    plan = news.state.plan
    if plan is None or news.step is None or news.step >= len(plan.steps):
        return ()
    step = plan.steps[news.step]
    said = words["step"].format(step=news.step + 1, steps=len(plan.steps), hosts=len(step.hosts), all=len(plan.hosts),
                                weight=f"{step.weight / 100:g} %")  # fmt: skip
    return (said,)


def _owed(state: State, words: _Words) -> Sequence[str]:
    closed = state.closed
    if closed is None:
        return ()
    owed = (("hosts", closed.owed), ("edges", closed.owed_edges))
    return [words[what].format(names=_names(names, words)) for what, names in owed if names]


def _names(names: Sequence[str], words: _Words) -> str:
    shown = tame(", ".join(names[:_NAMED]))
    more = len(names) - _NAMED
    return words["more"].format(names=shown, count=more) if more > 0 else shown


def _next(news: News, words: _Words) -> str:
    rollout = tame(news.state.rollout)
    promote, abort, explain = (f"gopub {verb} {rollout}" for verb in ("promote", "abort", "explain"))
    if "owed" in news.about:
        return "gopub recover"
    if news.lost and news.lost.why is not Loss.WAITS:  # nobody is there who would heed an abort
        back = f"gopub rollback {tame(news.state.app)} --env {tame(news.state.env)}"
        return words["or"].format(one="gopub recover", other=back)
    needed = news.lost or news.about[0] == "approval-needed"
    asked = (promote, abort) if needed else {"stuck": (explain, abort)}.get(news.about[0])
    return words["or"].format(one=asked[0], other=asked[1]) if asked else explain

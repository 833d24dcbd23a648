"""The words of plots, in each language that gopub tells them in. Pure; a test holds that both have every key."""

from __future__ import annotations

from collections.abc import Mapping

from gopub.views.wording_zh import ZH

EN: Mapping[str, str] = {
    "title": "{app} {version} into {env}",
    "from": "rollout {rollout}, looked at {looks} times from {start} UTC",
    "never": "rollout {rollout}: no look was taken",
    "decided": "{kind} by rule {rule} {after} after the first step began (solid line)",
    "by_hand": "it went back without a verdict, {after} after the first step began (solid line)",
    "open": "not decided; the last verdict is {kind} by rule {rule}",
    "step": "step {step}",
    "evidence": "Evidence E that the canary is worse",
    "evidence_says": "log scale; E at the upper line takes it back at once, at the lower one with a second sign",
    "no_evidence": "E was not computed: nothing was counted",
    "limit_sure": "1/α = {value}",
    "limit_far": "100/α = {value}",
    "beyond": "; it reached {value}, beyond the scale",
    "rates": "Failed answers, of the last minute",
    "rates_says": "shaded: 95 % interval, widened where failures come together",
    "no_rates": "no answer was counted in any look",
    "allowed": "SLO {value}",
    "latency": "How long answers take, of the last minute",
    "latency_says": "half of them (p50) and 95 of 100 (p95) take at most so long",
    "no_latency": "no answer was timed in any look",
    "target": "SLO p95 {value}",
    "memory": "Memory of the canary's hosts",
    "memory_says": "resident memory of the service's main process",
    "no_memory": "no host told its memory",
    "more": "highest of {count} more",
    "canary": "canary",
    "stable": "stable",
    "last": "{name} {value}",
    "told": "{title}: {what}.",
}  # fmt: skip

WORDS: Mapping[str, Mapping[str, str]] = {"en": EN, "zh": ZH}


def language(wanted: str, environment: Mapping[str, str]) -> str:
    """The language that was asked for, else that of the locale as POSIX reads it, else English."""
    locale = next((environment[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environment.get(name)), "")
    return wanted or ("zh" if locale.lower().partition("_")[0].partition(".")[0] == "zh" else "en")

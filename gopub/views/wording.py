"""The words of plots, in each language that gopub tells them in. Pure; a test holds that both have every key."""

from __future__ import annotations

from collections.abc import Mapping

from gopub.views.wording_zh import ZH

EN: Mapping[str, str] = {
    "title": "{app} {version} into {env}",
    "from": "rollout {rollout}, looked at {looks} times from {start} UTC",
    "once": "rollout {rollout}, looked at once, at {start} UTC",
    "never": "rollout {rollout}: no look was taken",
    "decided": "{kind} by rule {rule}, {after} after the first step began (solid line)",
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
    "part_seen": "seen",
    "part_concluded": "concluded",
    "part_rested": "rested on",
    "part_unseen": "not seen",
    "looks": "looks: {looks} in {time}; steps begun: {steps} of {planned}",
    "looks_some": "looks: {looks} in {time}, {kept} of them told here; steps begun: {steps} of {planned}",
    "failed_of": "{name}: {bad} of {of} answers failed",
    "none_counted": "{name}: no answer was counted",
    "p95": "at the last look 95 % of the answers took at most {canary} on the canary, {stable} on stable",
    "unknown": "an unknown time",
    "grew": "memory of {host}: {first} at first, {last} at last",
    "host_says": "{host}: {says}",
    "concluded": "{outcome}: {why}",
    "under_way": "under way",
    "going_back": "going back",
    "nothing_yet": "nothing yet",
    "rule": "{kind} by rule {rule}: {reason}",
    "e": "E = {e} at last, held against {basis}; evidence from 1/α = {limit} on, alone enough from 100/α = {far} on",
    "basis_stable": "stable",
    "basis_slo": "the SLO",
    "basis_none": "nothing",
    "queries": "queries at the last look: {queries}, each kept with a digest of its answer",
    "beside": "kept on stable to the end, to compare with: {hosts}",
    "checks": "checks before it was let in: {checks}",
    "kept": "entries of the journal: {entries}, last hash {hash}",
    "kept_away": "entries of the journal: {entries}; it was away when the last were written, and gets them later",
    "no_looks": "no look was taken",
    "blind": "looks that found nothing to judge by: {count} of {looks}, the last for: {why}",
    "silent": "canary hosts that did not answer: {hosts} (looks: {count} of {looks})",
    "blind_some": "looks that found nothing to judge by: {count} of the {looks} told, the last for: {why}",
    "silent_some": "canary hosts that did not answer: {hosts} (looks: {count} of the {looks} told)",
    "gaps": "nobody looked for {time}",
    "first": "there was no stable release to compare with",
    "no_logs": "logs were not compared: {why}",
    "no_reason": "nobody says why",
    "no_score": "there was nothing to score the canary by",
    "noted": "noted: {note}",
    "aside": "hosts that died or fell silent, and are in no figure: {hosts}",
    "warming": "answers of hosts that still warmed up, in no latency: {count}",
    "all_seen": "nothing that a look asks for was missing",
    "all_seen_some": "nothing that a look asks for was missing in those told",
}  # fmt: skip

WORDS: Mapping[str, Mapping[str, str]] = {"en": EN, "zh": ZH}


def language(wanted: str, environment: Mapping[str, str]) -> str:
    """The language that was asked for, else that of the locale as POSIX reads it, else English."""
    locale = next((environment[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environment.get(name)), "")
    return wanted or ("zh" if locale.lower().partition("_")[0].partition(".")[0] == "zh" else "en")

"""The environments of all rollout stories; each has its port, and releases know all of them."""

from __future__ import annotations

from tests.e2e.story_ground import Env

TWO = {"hosts": '"role=app,zone=a"', "max_load": "2"}
"""Two of the four hosts: stories that are not about the fleet take half the time."""
FOUR = {"hosts": "role=app", "max_load": "2", "max_unavailable": "50%"}
"""All hosts, two at a time where that is all that is left to do."""
SCRAPED = {"judge": "{source: prometheus-lab, look: 500ms, score: {memory_growth: 0}}"}
"""Judged by what Prometheus shows, where all others are by what the edges say themselves."""


SLO = "slo: {latency_p95: 100ms, error_rate: 1%}"
ASKED = f"{{source: edges, {SLO}, min_requests: 30, look: LOOK, score: {{memory_growth: 0}}}}"
"""Judged by the edges, as it is written down."""


SIDE = {
    "switch": "side-by-side",
    "service": '{ports: [18115, 18116], env: {PORT: "{{ port }}"}}',
}
"""A service that knows nothing of gopub, and ends at once when it is told to: old and new on two ports."""


def kept(steps: str, look: str) -> dict[str, str]:
    """Two hosts of which one stays on stable to compare with until the last bake is over."""
    return TWO | {
        "rollout": f"{{steps: [{steps}], deadline: 10m, keep_stable: 1}}",
        "judge": ASKED.replace("LOOK", look),
    }


def rollout(steps: str, deadline: str = "10m") -> dict[str, str]:
    """Other steps than the usual ones."""
    return TWO | {"rollout": f"{{steps: [{steps}], deadline: {deadline}}}"}


def noting(name: str) -> str:
    """A hook that leaves its name in the service's own folder, and another word when it is taken back."""
    run, undo = (f"[/bin/sh, -c, 'echo {word} >> /var/lib/hello-hooked/ran']" for word in (name, f"un-{name}"))
    return f"[{{name: {name}, run: {run}, undo: {undo}}}]"


CROSSED = {
    "config": "[{template: config-crossed.tmpl, to: config.yaml}]",
    "config_check": "[httpbin, --check-config, config.yaml]",
}
"""Each release takes its own file and that of the first one; see ``httpbin_main``."""

HOT = rollout("{hosts: 1, weight: 50%, bake: 12s}") | {
    "inventory": "hosts-hot.ini",
    "service": '{args: ["--config", "/opt/hello-hot/current/config.yaml"]}',
    "config": "[{template: config-hot.tmpl, to: config.yaml, apply: reload}]",
    "confirm": "http://127.0.0.1:19115/-/config",
}
"""Its files are taken in without a restart; its inventory is a copy that a story changes."""


def watched(text: str) -> dict[str, str]:
    """Two hosts in two steps, and the release is watched afterwards."""
    return TWO | {"rollout": f"{{steps: [{{hosts: 1, weight: 50%, bake: 1s}}], deadline: 10m, watch: {text}}}"}


ENVS = (
    Env("main", 18100),
    Env("mortal", 18101, more=rollout("{weight: 25%, bake: 2s}, {hosts: 50%, bake: 1s}") | FOUR),
    Env("patient", 18102, signs=True, more=rollout("{hosts: 1, weight: 50%, bake: 10m}", "20m")),
    Env("judge", 18104, more=rollout("{hosts: 1, weight: 50%, bake: 12s}")),
    Env("blind", 18105, more=rollout("{hosts: 1, weight: 50%, bake: 1s}", "6s") | SCRAPED),
    Env("gate", 18106, more=rollout("{hosts: 1, weight: 50%, bake: 1s}, {hosts: 2, bake: 1s, approve: on-call}")),
    Env("old", 18107, more=rollout("{hosts: 1, weight: 50%, bake: 10m}", "20m")),
    Env("plug", 18109, warmup="3s", more=rollout("{hosts: 1, weight: 50%, bake: 10m}", "20m")),
    Env("hot", 18115, more=HOT),
    Env("kept", 18113, more=kept("{weight: 10%, bake: 1s}, {hosts: 100%, bake: 40s}", "500ms"), alone=True),
    Env("shared", 18114, app="httpbin", more=kept("{hosts: 100%, bake: 30s}", "2s"), alone=True),
    Env(
        "hooked",
        18121,
        more=rollout("{hosts: 1, weight: 50%, bake: 10m}", "20m")
        | {"compat": f"{{before: {noting('expand')}, after: {noting('contract')}}}"},
    ),
    Env("watched", 18122, more=watched("10m")),
    Env("alarmed", 18123, more=watched("{for: 12s, then: alarm}") | {"notify": "[room]"}),
    Env("polite", 18111, app="httpbin", drain="5s", more=rollout("{hosts: 1, weight: 50%, bake: 10m}", "20m")),
    Env("beside", 18115, app="httpbin", more=SIDE | rollout("{hosts: 1, weight: 50%, bake: 10m}", "20m")),
    Env(
        "crossed",
        18131,
        app="httpbin",
        more=CROSSED
        | {"switch": "side-by-side", "service": '{ports: [18131, 18132], env: {PORT: "{{ port }}"}}'}
        | rollout("{hosts: 1, weight: 50%, bake: 1s}"),
    ),
    Env("apart", 18133, app="httpbin", more=CROSSED | rollout("{hosts: 1, weight: 50%, bake: 1s}")),
    Env("moved", 18134, app="httpbin", more=rollout("{hosts: 1, weight: 50%, bake: 2s}")),
    Env("rude", 18112, app="httpbin", drain="0s", more=rollout("{hosts: 1, weight: 50%, bake: 10m}", "20m")),
)

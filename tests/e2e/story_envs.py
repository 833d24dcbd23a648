"""The environments of all rollout stories; each has its port, and releases know all of them."""

from __future__ import annotations

from tests.e2e.story_ground import Env

JUDGE = "{slo: {latency_p95: 100ms, error_rate: 1%}, min_requests: 30, look: 500ms}"

ENVS = (
    Env("main", 18100),
    Env("mortal", 18101),
    Env("seat", 18102),
    Env("switch", 18103, more={"rollout": "{steps: [{weight: 25%, bake: 10m}], deadline: 20m}"}),
    Env("back", 18104),
    Env("judge", 18105),
    Env("blind", 18106, more={"rollout": "{steps: [{weight: 25%, bake: 2s}], deadline: 8s}"}),
    Env("gate", 18107, more={"rollout": "{steps: [{weight: 25%, bake: 1s}, "
                                        "{hosts: 50%, bake: 1s, approve: on-call}], deadline: 10m}"}),
    Env("patient", 18108, more={"rollout": "{steps: [{weight: 25%, bake: 10m}, {hosts: 50%, bake: 1s}], "
                                           "deadline: 20m}"}),
    Env("polite", 18111, app="httpbin", drain="5s", more={"judge": "{min_requests: 10, look: 500ms}"}),
    Env("rude", 18112, app="httpbin", drain="0s", more={"judge": "{min_requests: 10, look: 500ms}"}),
)  # fmt: skip

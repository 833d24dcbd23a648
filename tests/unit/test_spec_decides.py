"""Each key of an environment is either the release's or the project's, and what a rollout uses is made of both."""

import random
import re
from pathlib import Path
from typing import Any

import pytest

from gopub.release.environments import effective
from gopub.spec.decides import DECIDES, Decides, joined, keys_of, value_at
from gopub.spec.loader import parse_spec
from gopub.spec.models import Environment

PAGE = Path(__file__).parents[2] / "docs/concepts/admission.md"
BASE = """\
app: hello
environments:
  lab:
"""
OF_RELEASE = """\
    inventory: release.ini
    hosts: role=release
    instance: of-release
    require: enrolled
    admit:
      signed: [{identity: release, issuer: "https://release", trust: release}]
      provenance: {repository: "https://release/x", ref: release, builder: release, level: 1}
      sbom: {formats: [spdx], forbid: [release], licences: {deny: ["AGPL-*"]}}
      fresh: 11d
      mode: warn
      statement: {key: release, lasts: 11d}
      roles: {file: release, root: release}
    service:
      {unit: release.service, args: [release], env: {A: release}, user: release, runtime: {B: release},
       limits: {files: 1100, processes: 1100, core: 11MiB, locked: 11MiB, memory: 11MiB, tasks: 1100, cpu: 11%}}
    config: [{template: release.tmpl, to: release.yaml, apply: reload}]
    confirm: http://127.0.0.1:1001/release
    config_check: [release]
    compat:
      {floor: 1.1.1, below_floor: allow, config_check: both, before: [{name: a, run: [release], undo: none}],
       after: [{name: b, run: [release], undo: none}],
       controller: {before: [{name: c, run: [release], undo: none}], after: [{name: d, run: [release], undo: none}]}}
    health: {http: "http://127.0.0.1:1001/release", host: release, accept: [411], within: 11s}
    max_unavailable: 11%
    max_load: 1.1
    traffic:
      {router: release, upstream: release, port: 1011, sticky: "header:release", drain: 11s, trust: [10.1.0.0/16],
       latency: header, warmup: 11s, tag: release}
    rollout:
      {window: ["mon 10:00-11:00 UTC"], steps: [11%], deadline: 11h, keep_stable: 11,
       watch: {for: 11m, then: alarm}}
    judge:
      source: release
      metrics: [{name: release, kind: gauge, query: 'release{h=~"{{ hosts }}"}'}]
      logs: release
      slo: {latency_p95: 11ms, error_rate: 1.1%}
      logs_profile: article
      score: {pass: 11, latency: 11, errors: 11, gc_pause: 11, memory_growth: 11, profile: article}
      rollback: {log_score: 0.11, watch: 11s}
      min_requests: 11
      alpha: 0.011
      promote: {by: evidence, margin: 11%, beta: 0.11, observed: 11s}
      budget: {freeze_below: 11%, burn: article, window: 11d, query: release}
      endpoints: [/release]
      look: 11s
      shadow:
        slo: {latency_p95: 11ms, error_rate: 1.1%}
        score: {pass: 11, latency: 11, errors: 11, gc_pause: 11, memory_growth: 11, profile: article}
        rollback: {log_score: 0.11, watch: 11s}
        min_requests: 11
        alpha: 0.011
        promote: {by: evidence, margin: 11%, beta: 0.11, observed: 11s}
        budget: {freeze_below: 11%, burn: article, window: 11d, query: release}
    keep_releases: 11
    notify: [{to: release, on: [owed], lang: zh}]
"""
OF_PROJECT = (
    OF_RELEASE.replace("release", "project")
    .replace("keep_projects", "keep_releases")
    .replace("11", "12")
    .replace("1.1", "1.2")
    .replace("mon ", "tue ")
    .replace("10.1.0.0", "10.2.0.0")
    .replace("by: evidence", "by: bake")
    .replace("burn: article", "burn: multiwindow")
    .replace("article", "default")
    .replace("latency: header", "latency: auto")
    .replace("require: enrolled", "require: any")
    .replace("1001", "1002")
    .replace("[spdx]", "[cyclonedx]")
    .replace("AGPL-*", "GPL-*")
    .replace("mode: warn", "mode: enforce")
    .replace("level: 1", "level: 2")
    .replace("then: alarm", "then: rollback")
    .replace("below_floor: allow, config_check: both", "below_floor: refuse")
)
ONE_VALUE = {"switch"}
"""Keys that have only one value today, so that nobody can differ in them."""


def environment(text: str) -> Environment:
    return parse_spec(BASE + text, "gopub.yaml").spec.environments["lab"]


def dumped(of: Environment) -> Any:
    return of.model_dump(mode="json", by_alias=True)


def with_key(of: Environment, key: str, ports: tuple[int, int]) -> Environment:
    """A key and `signed`, or ports and a restart, cannot stand in one file; here every key must have a value."""
    service = of.service.model_copy(update={"ports": ports})
    return of.model_copy(update={"admit": of.admit.model_copy(update={"key": key}), "service": service})


RELEASE = with_key(environment(OF_RELEASE), "release.pub", (1001, 1011))
PROJECT = with_key(environment(OF_PROJECT), "project.pub", (1002, 1012))


def test_the_table_names_every_key_once() -> None:
    assert sorted(DECIDES) == sorted(keys_of(Environment))


@pytest.mark.parametrize("key", [key for key in DECIDES if key not in ONE_VALUE])
def test_each_key_is_taken_from_whose_word_it_is(key: str) -> None:
    release, project = value_at(dumped(RELEASE), key), value_at(dumped(PROJECT), key)
    assert release != project, "the control: they differ, so that it shows whose is used"
    used, overruled = joined(RELEASE, PROJECT)
    assert value_at(dumped(used), key) == (project if DECIDES[key] is Decides.PROJECT else release)
    assert (key in {one.key for one in overruled}) is (DECIDES[key] is Decides.PROJECT)


def test_a_note_says_what_is_used_and_what_is_not() -> None:
    notes = [str(one) for one in joined(RELEASE, PROJECT)[1]]
    assert notes[0] == "`inventory` is the project's word: 'project.ini'; the release says 'release.ini'"
    assert joined(RELEASE, RELEASE) == (RELEASE, ())


def test_a_router_that_only_one_of_them_has() -> None:
    bare = RELEASE.model_copy(update={"traffic": None})
    used, overruled = joined(RELEASE, PROJECT.model_copy(update={"traffic": None}))
    assert used.traffic is None
    assert "`traffic.router` is the project's word: none; the release says 'release'" in map(str, overruled)
    used, overruled = joined(bare, PROJECT)
    assert used.traffic == PROJECT.traffic
    assert any(one.key == "traffic.router" for one in overruled)


def test_drawn_mixtures_never_take_a_place_or_a_key_from_the_release() -> None:
    seed = random.randrange(1 << 32)
    draw = random.Random(seed)
    both = dumped(RELEASE), dumped(PROJECT)
    for _ in range(200):
        mixed = [Environment.model_validate({key: draw.choice(both)[key] for key in both[0]}) for _ in range(2)]
        used, overruled = joined(mixed[0], mixed[1])
        ours = {key: value_at(dumped(mixed[1]), key) for key, who in DECIDES.items() if who is Decides.PROJECT}
        assert ours == {key: value_at(dumped(used), key) for key in ours}, seed
        assert all(one.release != one.project for one in overruled), seed


def test_a_score_that_was_declared_stays_declared() -> None:
    said = Environment.model_validate(effective(environment("""\
    inventory: a.ini
    hosts: a
    health: http://127.0.0.1:8080/
    traffic: edge
    judge: {score: {gc_pause: 5}}
""")))  # fmt: skip
    used, _ = joined(said, PROJECT)
    assert used.judge.score.model_fields_set == {"gc_pause"}


def test_the_page_shows_the_table() -> None:
    shown = re.findall(r"^\| `([^`]+)` \| (project|release) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert shown == [(key, who.value) for key, who in DECIDES.items()]

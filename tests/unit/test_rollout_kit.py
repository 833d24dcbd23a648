"""What a plan wrote down says later what it said then."""

from __future__ import annotations

from gopub.journal.kit import Kit, read_kit, write_kit
from gopub.spec.loader import parse_spec
from gopub.wiring.backends import BACKENDS
from tests.support.rollout_world import SPEC, World, in_memory


def test_what_was_declared_of_the_score_stays_told_from_defaults_where_a_rollout_goes_on(tmp_path, monkeypatch):
    """A declared dimension that nobody exposes holds a rollout: a kit that declares them all would hold each one."""
    in_memory(monkeypatch)
    run = World(tmp_path).driver()
    text = SPEC.replace("traffic: edge}", "traffic: edge, judge: {score: {memory_growth: 0}}}")
    environment = parse_spec(text, "gopub.yaml").spec.environments["lab"]
    write_kit(tmp_path, Kit(1, run.plan, (), environment))
    kept = read_kit(tmp_path, "hello", "lab", BACKENDS).environment
    assert kept == environment
    assert kept.judge.score.model_fields_set == {"memory_growth"}
    dumped = type(environment).model_validate(environment.model_dump(mode="json", by_alias=True))
    assert "gc_pause" in dumped.judge.score.model_fields_set  # control: written out in full, all are declared

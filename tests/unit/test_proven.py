"""What `gopub status --verify` shows of variables and limits: the newest proof of each host."""

from __future__ import annotations

from pathlib import Path

from gopub.clock import ManualClock
from gopub.journal import events as ev
from gopub.journal.store import Journal, open_journal
from gopub.journal.streams import env_stream, stream_of
from gopub.plan.model import Outcome
from gopub.views.proven import proof_lines, read_proven

from .views_world import NEW, NEW_FOLDER, OLD_FOLDER, moving

HAS = {"runtime.GOMAXPROCS": "8", "limit.files": "1024", "unit.main_pid": "42"}


def written(folder: Path, rollout: str, *, after: int, more: list[ev.Event]) -> Journal:
    """One more rollout of hello into lab."""
    journal = open_journal(str(folder / "journal.db"), ManualClock())
    env = env_stream("hello", "lab")
    parts: list[tuple[str, int, list[ev.Event]]] = [
        (env, after, [ev.EnvOpened(rollout, NEW)]), (stream_of(rollout), 0, [*moving(rollout, "hello", "lab"), *more]),
        (env, after + 1, [ev.EnvClosed(rollout, Outcome.PROMOTED, NEW, "2.0.0")]),
    ]  # fmt: skip
    for part in parts:
        journal.append_all([part], actor="ann", trace="t")
    return journal


def test_the_newest_proof_of_each_host_is_told_and_only_what_was_named(tmp_path: Path) -> None:
    switch = [ev.SwitchIntended(("app1", "app2"), NEW_FOLDER, "canary")]
    proven = [ev.HostSwitched(name, NEW_FOLDER, "canary", HAS, at=60.0) for name in ("app1", "app2")]
    journal = written(tmp_path, "r1", after=0, more=[*switch, *proven])
    one, two = read_proven(journal)
    assert (one.host, one.variables, one.limits) == ("app1", (("GOMAXPROCS", "8"),), (("files", "1024"),))
    assert two.to_json()["proven_at"] == "1970-01-01T00:01:00+00:00"
    assert proof_lines([one, two]) == [
        f"hello in lab: app1 and app2 run {NEW_FOLDER} with GOMAXPROCS=8, limit files 1024"
    ]
    later = [switch[0], ev.HostSwitched("app1", OLD_FOLDER, "canary", HAS | {"runtime.GOMAXPROCS": "4"}, at=90.0)]
    journal = written(tmp_path, "r2", after=2, more=[*later])
    assert [(o.host, o.runs, o.variables[0][1]) for o in read_proven(journal, "hello")] == [
        ("app1", OLD_FOLDER, "4"), ("app2", NEW_FOLDER, "8")]  # fmt: skip
    assert read_proven(journal, "hello", "prod") == read_proven(journal, "other") == []


def test_of_a_script_it_is_told_what_the_proof_leaves_open(tmp_path: Path) -> None:
    switch = ev.SwitchIntended(("app1",), NEW_FOLDER, "canary")
    values = {"unit.interpreter": "/usr/bin/python3.11", "unit.main_pid": "42"}
    journal = written(tmp_path, "r1", after=0, more=[switch, ev.HostSwitched("app1", NEW_FOLDER, "canary", values)])
    (one,) = read_proven(journal)
    assert one.to_json()["interpreter"] == "/usr/bin/python3.11"
    (line,) = proof_lines([one])
    assert line.startswith(f"hello in lab: app1 runs {NEW_FOLDER} with /usr/bin/python3.11 of the host")
    assert line.endswith("which the proof of a script does not cover")


def test_a_host_whose_newest_switch_proved_nothing_of_them_is_not_told(tmp_path: Path) -> None:
    """Control for the one above: an old proof is none of what runs now."""
    switch = ev.SwitchIntended(("app1",), NEW_FOLDER, "canary")
    written(tmp_path, "r1", after=0, more=[switch, ev.HostSwitched("app1", NEW_FOLDER, "canary", HAS)])
    journal = written(tmp_path, "r2", after=2, more=[switch, ev.HostSwitched("app1", OLD_FOLDER, "canary")])
    assert read_proven(journal) == []

"""A command that names no rollout means this folder's app, says which rollout, and never another app's."""

from __future__ import annotations

from pathlib import Path

import pytest

from gopub.cli.meaning import Here, meant, named, this_folder, unnamed
from gopub.clock import ManualClock
from gopub.errors import GopubError, UsageError
from gopub.journal import events as ev
from gopub.journal.store import Journal, open_journal
from gopub.journal.streams import asked_of
from gopub.plan.model import Outcome
from gopub.views.known import Candidate, candidates
from tests.support.engine_home import EngineHome

ORDERS = Here("orders")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return open_journal(str(tmp_path / "journal.db"), ManualClock())


def opened(journal: Journal, rollout: str, app: str, env: str = "prod") -> None:
    stream = f"env/{app}/{env}"
    journal.append_all(
        [
            (stream, len(journal.read(stream)), [ev.EnvOpened(rollout, "a" * 64)]),
            (f"rollout/{rollout}", 0, [ev.Opened(rollout, app, env, "a" * 64, "1.0.0")]),
        ],
        actor="me",
    )


def closed(journal: Journal, rollout: str, app: str, env: str = "prod") -> None:
    stream = f"env/{app}/{env}"
    end = (stream, len(journal.read(stream)), [ev.EnvClosed(rollout, Outcome.PROMOTED)])
    journal.append_all([end, (f"rollout/{rollout}", 1, [ev.Closed(Outcome.PROMOTED)])], actor="me")


def folder_of(tmp_path: Path, app: str) -> Path:
    inside = tmp_path / app / "cmd" / "server"
    inside.mkdir(parents=True)
    (tmp_path / app / "gopub.yaml").write_text(
        f"app: {app}\nenvironments:\n  prod: {{inventory: h.ini, hosts: all, health: 'http://127.0.0.1:1/h'}}\n"
    )
    return inside


def test_two_apps_roll_and_each_folder_means_its_own(journal):
    opened(journal, "orders-1", "orders")
    opened(journal, "billing-1", "billing")
    assert meant(journal, "", changes=True, here=ORDERS) == "orders-1"
    assert meant(journal, "last", changes=True, here=Here("billing")) == "billing-1"
    assert candidates(journal)[-1].rollout == "billing-1"  # control: the newest of any app is another one


def test_a_command_that_changes_something_never_means_one_that_is_over(journal):
    opened(journal, "orders-1", "orders")
    closed(journal, "orders-1", "orders")
    opened(journal, "billing-1", "billing")
    with pytest.raises(UsageError, match="GP941 no rollout of orders is under way"):
        meant(journal, "", changes=True, here=ORDERS)
    assert meant(journal, "", changes=False, here=ORDERS) == "orders-1"


def test_several_under_way_are_listed_and_none_is_taken(journal):
    opened(journal, "orders-1", "orders", "prod")
    opened(journal, "orders-2", "orders", "test")
    for changes in (True, False):
        with pytest.raises(UsageError, match=r"GP965.*2 of orders are under way\n.*orders-1.*orders-2"):
            meant(journal, "", changes=changes, here=ORDERS)
    assert meant(journal, "", env="test", changes=True, here=ORDERS) == "orders-2"


def test_without_a_gopub_yaml_nothing_is_changed_even_if_only_one_is_under_way(journal):
    opened(journal, "billing-1", "billing")
    with pytest.raises(UsageError, match=r"GP965.*no gopub.yaml.*\n.*billing-1"):
        meant(journal, "", changes=True, here=Here())
    assert meant(journal, "", app="billing", changes=True, here=Here()) == "billing-1"
    assert meant(journal, "", changes=False, here=Here()) == "billing-1"  # reading the only app there is harms nobody
    opened(journal, "orders-1", "orders")
    with pytest.raises(UsageError, match="GP965"):
        meant(journal, "", changes=False, here=Here())


def test_a_name_is_an_id_or_its_beginning_and_app_and_env_only_narrow_it(journal):
    opened(journal, "orders-1", "orders")
    opened(journal, "orders-12", "orders")
    known = candidates(journal)
    assert named(known, "orders-1") == "orders-1"
    assert named(known, "orders-12", "orders", "prod") == "orders-12"
    with pytest.raises(UsageError, match="GP941 2 rollouts begin with 'ord'"):
        named(known, "ord")
    with pytest.raises(UsageError, match=r"GP941 rollout orders-12 \(orders into prod\) is not of billing"):
        named(known, "orders-12", "billing")


def test_with_nothing_at_all_each_says_so():
    with pytest.raises(UsageError, match="GP941 there is no rollout of orders yet"):
        unnamed([], "orders", "", changes=False)
    with pytest.raises(UsageError, match="GP941 no rollout of orders in prod is under way"):
        unnamed([Candidate("x", "orders", "test", active=True)], "orders", "prod", changes=True)


def test_an_env_whose_entries_cannot_be_read_hides_no_other(journal, monkeypatch):
    opened(journal, "orders-1", "orders")
    opened(journal, "billing-1", "billing")
    whole = journal.read

    def read(stream: str) -> object:
        if stream == "env/billing/prod":
            raise GopubError("GP703", "an event of tomorrow", hint="")
        return whole(stream)

    monkeypatch.setattr(journal, "read", read)
    assert meant(journal, "", changes=True, here=ORDERS) == "orders-1"


def test_this_folder_is_found_upward_and_a_broken_file_names_no_app(tmp_path):
    assert this_folder(folder_of(tmp_path, "orders")) == ORDERS
    (tmp_path / "orders" / "gopub.yaml").write_text("app: [\n")
    assert this_folder(tmp_path / "orders").app == ""
    assert "cannot be read" in this_folder(tmp_path / "orders").why


async def test_abort_in_one_services_folder_asks_its_own_rollout_only(tmp_path):
    path = tmp_path / "journal.db"
    journal = open_journal(str(path), ManualClock())
    opened(journal, "orders-1", "orders")
    opened(journal, "billing-1", "billing")
    engine = EngineHome(tmp_path / "engine")
    here = folder_of(tmp_path, "orders")
    said = await engine.gopub("abort", "--reason", "x", cwd=here, env={"GOPUB_JOURNAL": str(path)})
    assert (said.code, [(name, given["app"]) for name, given in engine.told]) == (0, [("rollout", "orders")]), said
    assert "orders-1 (orders into prod)" in said.text + said.err.decode()
    assert [entry.event.what for entry in journal.read(asked_of("orders-1"))] == ["abort"]
    assert journal.read(asked_of("billing-1")) == []

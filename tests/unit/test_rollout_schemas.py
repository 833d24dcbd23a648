"""What rollouts keep has a JSON Schema that is up to date and takes real values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest

from gopub import schemas
from gopub.fleet.host import Host
from gopub.journal import events as ev
from gopub.journal.kit import Kit, write_kit
from gopub.journal.schemas import as_text
from gopub.journal.schemas import schemas as made
from gopub.plan.model import Outcome, Plan, PlannedHost, PlannedStep, ReleaseRef
from gopub.spec.loader import parse_spec
from gopub.traffic.backends.nginx import Nginx
from gopub.views.plan import plan_json

FOLDER = Path(schemas.__file__).parent
SPEC = """
app: hello
environments:
  lab: {inventory: hosts.ini, hosts: role=app, health: "http://127.0.0.1:8080/healthz", traffic: edge}
"""
HOST = PlannedHost("app1", "198.18.0.11:8080", "0" * 32, "linux/amd64", "c" * 64, "old", "d" * 64)
STEPS = (
    PlannedStep(0, ("app1",), 2500, 60.0, header=("x-canary", "true"), approve="on-call"),
    PlannedStep(1, ("app1",), 10000, 60.0, between="02:00-06:00 Asia/Shanghai"),
)
PLAN = Plan(
    "hello-lab-1", "hello", "lab", "hello", ReleaseRef("a" * 64, "1.1.0"), ReleaseRef("b" * 64, "1.0.0"), (HOST,),
    STEPS, 1, 1.5, 600.0, 5.0, "judged", "hello", archives=(("linux/amd64", "e" * 64, 10, 20),),
)  # fmt: skip
EVENTS: tuple[ev.Event, ...] = (
    ev.Opened("hello-lab-1", "hello", "lab", "a" * 64, "1.1.0", "why"),
    ev.Planned(PLAN),
    ev.TablePut(2500, {"edge1": "ok"}),
    ev.HostSwitched("app1", "new", "canary", {"unit.main_pid": "7"}),
    ev.Judged(0, "HOLD", 2, "too few", {"record": {"verdict": None}, "observer": [1, 2.5]}),
    ev.GoingBack(Outcome.ROLLED_BACK, 3, "E"),
    ev.EnvClosed("hello-lab-1", Outcome.ROLLED_BACK, quarantined="a" * 64, automatic=True),
)


def accepts(name: str, value: object) -> bool:
    return jsonschema.Draft202012Validator(cast("Mapping[str, Any]", schemas.schema(name))).is_valid(value)


@pytest.mark.parametrize("name", sorted(made()))
def test_the_file_is_what_the_types_say(name: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == as_text(made()[name]), "python -m gopub.journal.schemas"
    jsonschema.Draft202012Validator.check_schema(made()[name])


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_fits_its_schema(event: ev.Event) -> None:
    name, data = ev.encode(event)
    assert accepts("journal-events", {"type": name, "data": json.loads(json.dumps(data))})


def test_an_event_that_lacks_a_field_does_not_fit() -> None:
    name, data = ev.encode(EVENTS[0])
    del data["release"]
    assert not accepts("journal-events", {"type": name, "data": data})
    assert not accepts("journal-events", {"type": "Nothing", "data": {}})


def test_every_event_type_is_described() -> None:
    page = (FOLDER.parents[1] / "docs/reference/journal.md").read_text("utf-8")
    assert [name for name in ev.json_schemas() if f"`{name}`" not in page] == []


def test_a_plan_fits_its_schema() -> None:
    plan = plan_json(PLAN)
    assert accepts("plan", plan)
    assert not accepts("plan", {**plan, "mode": "guessed"})


def test_a_written_kit_fits_its_schema(tmp_path: Path) -> None:
    environment = parse_spec(SPEC, "gopub.yaml").spec.environments["lab"]
    host = Host("app1", "198.18.0.11", labels={"role": "app"}, groups=frozenset({"all", "app"}))
    router = Nginx(kind="nginx", inventory="lab", hosts="role=edge")
    path = write_kit(tmp_path, Kit(3, PLAN, (host,), environment, (host,), router, (("1.0.0", "b" * 64),)))
    kit = json.loads(path.read_text("utf-8"))
    assert accepts("kit", kit)
    assert not accepts("kit", {key: value for key, value in kit.items() if key != "epoch"})

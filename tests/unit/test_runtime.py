"""Variables and limits of a release: in the unit, in what is read back, and in nothing of a release without them."""

from __future__ import annotations

from typing import Any

import pytest

from gopub.errors import SpecError
from gopub.fleet.orders import Record
from gopub.fleet.runtime import Runtime
from gopub.fleet.templates import render_release
from gopub.fleet.unit import Service
from gopub.release.environments import effective
from gopub.rollout.hosts import read_back
from gopub.spec.loader import parse_spec
from gopub.spec.models import Environment

OURS = Runtime({"GOMAXPROCS": "8", "IDLE": "{{ idle }}"}, {"files": 1024, "memory": 1 << 30, "cpu": 200})
BASE = """\
app: hello
environments:
  lab:
    inventory: hosts.ini
    hosts: role=app
    health: http://127.0.0.1:8080/healthz
"""


def environment(more: str = "") -> Environment:
    return parse_spec(BASE + more, "gopub.yaml").spec.environments["lab"]


def rendered(unit: str | None = None, runtime: Runtime = OURS, **variables: Any) -> dict[str, str]:
    service = Service("web", "web", env={"A": "1"}, runtime=runtime)
    made = render_release({}, unit, service, {"idle": "60s", **variables})
    return {path: data.decode() for path, data in made.files.items()}


def test_they_stand_in_the_unit_that_gopub_writes() -> None:
    unit = rendered()["web.service"].splitlines()
    at = unit.index('Environment="A=1"')
    assert unit[at + 1 : at + 3] == ['Environment="GOMAXPROCS=8"', 'Environment="IDLE=60s"']
    assert [line for line in unit if line.startswith("LimitNOFILE")] == ["LimitNOFILE=1024"], "the usual one is gone"
    assert {"MemoryMax=1073741824", "CPUQuota=200%"} <= set(unit)


def test_a_units_own_text_comes_first_so_that_they_win() -> None:
    own = "[Service]\nExecStart=/opt/web/current/bin/web \\"  # a line that goes on
    assert rendered(own)["web.service"] == (
        f"{own}\n\n# service.runtime and service.limits of gopub.yaml\n[Service]\n"
        'Environment="GOMAXPROCS=8"\nEnvironment="IDLE=60s"\nLimitNOFILE=1024\nMemoryMax=1073741824\nCPUQuota=200%\n'
    )


def test_what_is_read_back_stands_beside_it() -> None:
    listed = "variable GOMAXPROCS=8\nvariable IDLE=60s\nlimit files=1024\nlimit memory=1073741824\nlimit cpu=200\n"
    assert rendered()["web.runtime"] == listed


def test_a_release_without_them_is_as_ever() -> None:
    files = rendered(runtime=Runtime())
    assert set(files) == {"web.service"}
    assert "LimitNOFILE=65536\nNoNewPrivileges" in files["web.service"]
    assert rendered("[Service]\n", Runtime())["web.service"] == "[Service]\n"
    service = effective(environment())["service"]
    assert service == {"unit": None, "args": [], "env": {}, "user": None}, "an older gopub reads it"


def test_what_a_release_says_reads_back_equal() -> None:
    said = "    service: {runtime: {GOMAXPROCS: 8}, limits: {core: 0, memory: 1536KiB, locked: 1000B, cpu: 50%}}\n"
    made = environment(said)
    again = Environment.model_validate(effective(made))
    assert (again.service.runtime, again.service.limits.given) == (
        {"GOMAXPROCS": "8"},
        {"core": 0, "locked": 1000, "memory": 1536 * 1024, "cpu": 50},
    )


@pytest.mark.parametrize(("value", "good"), [("4", True), ("0", False), ("4 ", False), ("four", False)])
def test_what_a_template_made_go_has_to_take_as_well(value: str, good: bool) -> None:
    runtime = Runtime({"GOMAXPROCS": "{{ cores }}"})
    if good:
        assert rendered(runtime=runtime, cores=value)["web.runtime"] == f"variable GOMAXPROCS={value}\n"
        return
    with pytest.raises(SpecError, match=r"GP570 `service\.runtime\.GOMAXPROCS`"):
        rendered(runtime=runtime, cores=value)


def test_a_variable_cannot_begin_a_line_of_its_own() -> None:
    with pytest.raises(SpecError, match="GP409"):
        rendered(idle="1\nlimit files=1")
    with pytest.raises(SpecError, match="GP409"):
        rendered("[Service]\n", idle="1\nlimit files=1")


def test_a_host_that_says_nothing_of_them_has_proven_nothing() -> None:
    proof = Record("app1", "verify", 1, "t", 1, ok=True, changed=False, values={"runtime.GOMAXPROCS": "8"})
    both = Runtime({"GOMAXPROCS": "8"}, {"files": 1024})
    told = read_back(proof, both)
    assert (told.ok, told.code) == (False, "GP573")
    assert "does not read back files" in told.message
    assert read_back(proof, Runtime({"GOMAXPROCS": "8"})) is proof
    assert read_back(proof, Runtime()) is proof

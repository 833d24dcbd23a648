"""The modes of switching: what each asks of a unit, what it writes, and that docs and host know the same ones."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from gopub.errors import SpecError
from gopub.fleet import program
from gopub.fleet.modes import MODES, Service, table
from gopub.fleet.modes.reading import settings
from gopub.fleet.templates import render_release
from gopub.fleet.unit import default_unit
from gopub.spec.models import Environment

ROOT = Path(__file__).parents[2]
PROGRAM = files("gopub.fleet.program")
GOOD = "[Unit]\nRequires=web.socket\n[Service]\nExecStart=/opt/web/current/bin/web\n"


def web(mode: str, *ports: int) -> Service:
    return Service("web", "web", mode=mode, ports=ports or (8080,))


def test_the_language_the_table_the_docs_and_the_host_know_the_same_modes() -> None:
    spelled = set(Environment.model_fields["switch"].annotation.__args__)  # type: ignore[union-attr]
    shell = (PROGRAM / "modes.sh").read_text("utf-8")
    on_the_host = set(re.findall(r'^    ([a-z-]+)\) shift 2 && "[a-z]+_\$step"', shell, re.MULTILINE))
    assert spelled == set(MODES) == on_the_host
    page = (ROOT / "docs/concepts/switching.md").read_text("utf-8")
    assert f"table -->\n{table()}\n<!-- end" in page


def test_an_enrolled_host_switches_by_the_same_parts() -> None:
    assert set(program.MODES) <= set(program.ENROLLED) & set(program.PARTS)
    assert len(program.text()) < program.MOST_BYTES


@pytest.mark.parametrize("mode", MODES)
def test_every_part_of_a_mode_is_on_the_host(mode: str) -> None:
    name = mode.replace("side-by-side", "side")
    text = "".join(part.read_text("utf-8") for part in PROGRAM.iterdir() if part.name.endswith(".sh"))
    assert {step for step in ("place", "take", "proof") if f"\n{name}_{step}() {{" not in text} == set()


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "reload"])
def test_what_gopub_writes_is_what_the_mode_needs(mode: str) -> None:
    service = web(mode)
    units = {**MODES[mode].files(service), service.unit: default_unit(service)}
    assert MODES[mode].lacks(service, units) == ()


def test_a_unit_of_a_restart_is_as_it_always_was() -> None:
    lines = default_unit(Service("web", "web")).splitlines()
    assert lines[:8] == [
        "[Unit]", "Description=web as web, released by gopub", "After=network.target", "StartLimitIntervalSec=30",
        "StartLimitBurst=5", "", "[Service]", "Type=exec",
    ]  # fmt: skip
    assert set(render_release({}, None, Service("web", "web"), {}).files) == {"web.service"}


def test_a_socket_listens_on_each_port_once_that_of_the_traffic_first() -> None:
    made = render_release({}, None, web("socket", 9000, 8080, 9000), {}).files
    assert set(made) == {"web.service", "web.socket"}
    assert settings(made["web.socket"].decode(), "Socket", "ListenStream") == ("9000", "8080")
    assert settings(made["web.service"].decode(), "Unit", "Requires") == ("web.socket",)


@pytest.mark.parametrize(
    ("unit", "socket", "text"),
    [
        (GOOD.replace("Requires", "Wants"), None, "web.service does not say Requires=web.socket in [Unit]"),
        (GOOD.replace("[Unit]", "[Install]"), None, "web.service does not say Requires=web.socket in [Unit]"),
        (GOOD.replace("Requires=", "# Requires="), None, "web.service does not say Requires=web.socket in [Unit]"),
        (GOOD.replace(".socket\n", ".socket\nRequires=\n"), None, "web.service does not say Requires=web.socket"),
        (GOOD, "[Socket]\n", "web.socket has no ListenStream= in [Socket]"),
        (GOOD, "[Socket]\nListenStream=80\nAccept=yes\n", "web.socket says Accept=yes"),
        (GOOD, "[Socket]\nListenStream=80\nService=x.service\n", "web.socket is for another service than web.service"),
    ],
)
def test_a_unit_that_does_not_fit_its_mode_is_told(unit: str, socket: str | None, text: str) -> None:
    templates = {"web.socket": socket} if socket else {}
    with pytest.raises(SpecError, match=re.escape(text)) as caught:
        render_release(templates, unit, web("socket"), {})
    assert caught.value.code == "GP531"
    assert render_release(templates, unit, web("restart"), {}).files, "control: another mode does not need it"


HANDS = "[Service]\nType=notify\nNotifyAccess=all\nExecReload=x\nExecStart=/opt/web/current/bin/web a\n"


@pytest.mark.parametrize(
    ("mode", "unit", "text"),
    [
        ("handover", HANDS.replace("notify", "exec"), "web.service does not say Type=notify in [Service]"),
        ("handover", HANDS.replace("all", "main"), "web.service does not say NotifyAccess=all in [Service]"),
        (
            "handover",
            HANDS.replace("opt/web", "srv"),
            "web.service does not start /opt/web/current/bin/web in ExecStart=",
        ),
        (
            "reload",
            HANDS.replace("opt/web", "srv"),
            "web.service does not start /opt/web/current/bin/web in ExecStart=",
        ),
        ("reload", HANDS.replace("ExecReload=x", ""), "web.service has no ExecReload= in [Service]"),
        ("reload", None, "web.service has no ExecReload= in [Service]"),
    ],
)
def test_a_unit_of_one_that_takes_over_is_told_what_it_lacks(mode: str, unit: str | None, text: str) -> None:
    with pytest.raises(SpecError, match=re.escape(text)) as caught:
        render_release({}, unit, web(mode), {})
    assert caught.value.code == "GP531"
    assert render_release({}, HANDS, web(mode), {}).files, "control"


def test_a_unit_may_say_it_in_any_way_of_systemd() -> None:
    said = "[Unit]\n; x\nRequires=a.service \\\n  web.socket\n\n[Service]\nExecStart=/x\n"
    socket = "[Socket]\nListenStream={{ port }}\nAccept=no\nService=web.service\n"
    made = render_release({"web.socket": socket}, said, web("socket"), {"port": 81})
    assert settings(made.files["web.socket"].decode(), "Socket", "ListenStream") == ("81",)


def test_a_socket_is_filled_in_as_a_unit_is() -> None:
    with pytest.raises(SpecError) as caught:
        render_release({"web.socket": "[Socket]\nListenStream={{ a }}\n"}, GOOD, web("socket"), {"a": "1\nAccept=yes"})
    assert caught.value.code == "GP409"

"""Rendering: what templates may do, what they may not, and that the result has one name."""

from __future__ import annotations

import io
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gopub.canon import sha256
from gopub.errors import SpecError, Where
from gopub.fleet.templates import Rendered, render, render_release
from gopub.fleet.unit import Service, default_unit, stop_seconds
from gopub.fleet.vaulted import Vaulted
from gopub.spec.rules import fits_archive

CASES = Path(__file__).parents[1] / "cases/fleet"
VARIABLES: dict[str, Any] = {"word": "web", "lines": "a\nb", "numbers": [1, 2, 3], "port": 8080}
WEB = Service("web", "web")


def cases(name: str) -> Any:
    return YAML(typ="safe", pure=True).load(CASES / name)


def make(case: dict[str, Any]) -> Rendered:
    """What a case asks for: one template, one path, or one word of a unit."""
    if "template" in case:
        return render({"config.yaml": case["template"]}, VARIABLES)
    if "path" in case:
        return render({case["path"]: ""}, VARIABLES)
    args = (case["arg"],) if "arg" in case else ()
    env = {"WORD": case["env"]} if "env" in case else {}
    return render_release({}, case.get("unit"), Service("web", "web", args, env), VARIABLES)


@pytest.mark.parametrize("case", cases("template.bad.yaml"), ids=lambda case: case["name"])
def test_a_mistake_is_told_exactly(case: dict[str, Any]) -> None:
    with pytest.raises(SpecError) as caught:
        make(case)
    assert str(caught.value) == case["error"].rstrip("\n")


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain\n", "plain\n"),
        ("no line end", "no line end"),
        ("{{ word }}:{{ port }}", "web:8080"),
        ("{% for n in numbers %}{{ n }}{% if not loop.last %},{% endif %}{% endfor %}", "1,2,3"),
        ("{% for n in numbers %}{{ loop.index }}/{{ loop.length }} {% endfor %}", "1/3 2/3 3/3 "),
        ("{{ numbers|map('string')|join('+') }} {{ numbers|tojson }}", "1+2+3 [1, 2, 3]"),
        ("{{ missing|default('none') }} {{ missing is defined }}", "none False"),
        ("{{ '%05d' % 42 }} {{ '{:>4}'.format(7) }} {{ word ~ '!' }}", "00042    7 web!"),
        ("{{ 'ab' * 2 }} {{ 2 ** 10 }} {{ [1] + [2] }}", "abab 1024 [1, 2]"),
        ("{{ 1073741824|string }} {{ missing|default(4194304) }} {{ 3000000|tojson }}", "1073741824 4194304 3000000"),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(word) }}", "<web>"),
        ("<{{ '<&>' }}>", "<<&>>"),
    ],
)  # fmt: skip
def test_templates_do_what_they_should(template: str, text: str) -> None:
    assert render({"a": template}, VARIABLES).files["a"].decode() == text


def test_the_same_files_have_the_same_name_and_others_another() -> None:
    one = render({"b": "2", "a": "{{ word }}"}, VARIABLES)
    assert one.render_id == render({"a": "web", "b": "2"}, {}).render_id
    assert one.payload() == render({"a": "web", "b": "2"}, {}).payload()
    others = [{"a": "web", "b": "3"}, {"a": "web"}, {"a": "web", "c": "2"}, {"a": "2", "b": "web"}]
    names = {one.render_id, *(render(files, {}).render_id for files in others)}
    assert len(names) == 5


def test_the_name_is_the_digest_of_path_mode_and_content() -> None:
    line = f"a\0000644\0{sha256(b'web')}\n".encode()
    assert render({"a": "web"}, {}).render_id == sha256(line)


def test_the_payload_holds_the_files_and_nothing_of_this_machine() -> None:
    rendered = render_release({"conf/a.yaml": "port: {{ port }}\n"}, None, WEB, VARIABLES)
    with tarfile.open(fileobj=io.BytesIO(rendered.payload())) as tar:
        members = tar.getmembers()
        content = {member.name: tar.extractfile(member).read() for member in members}  # type: ignore[union-attr]
    assert content == rendered.files
    assert [member.name for member in members] == ["conf/a.yaml", "web.service"]
    assert {(m.mode, m.uid, m.gid, m.mtime, m.uname) for m in members} == {(0o644, 0, 0, 0, "")}


def test_a_team_s_own_unit_is_used_as_it_is() -> None:
    unit = "[Service]\nExecStart=/opt/web/current/bin/web --port {{ port }}\nEnvironment=X=%i $Y\n"
    text = render_release({}, unit, WEB, VARIABLES).files["web.service"].decode()
    assert text == unit.replace("{{ port }}", "8080")


def test_the_default_unit_quotes_what_systemd_would_expand() -> None:
    service = Service(
        "web-prod", "web", ("--config", "a b", 'q"\\', "$HOME", "%n"), {"A": "1 2", "B": "$x %i", "C": '"'}, drain=60
    )
    lines = default_unit(service).splitlines()
    command = next(line for line in lines if line.startswith("ExecStart="))
    assert command == ('ExecStart=/opt/web-prod/current/bin/web "--config" "a b" "q\\"\\\\" "$$HOME" "%%n"')
    environment = [line for line in lines if line.startswith("Environment=")]
    assert environment == ['Environment="A=1 2"', 'Environment="B=$x %%i"', 'Environment="C=\\""']
    assert "TimeoutStopSec=70" in lines
    assert "DynamicUser=yes" in lines
    assert "User=ops" in default_unit(Service("web", "web", user="ops")).splitlines()


def test_a_service_gets_more_time_to_end_than_its_drain() -> None:
    assert all(stop_seconds(drain) > drain for drain in (0, 0.4, 20, 300))


@given(st.text(), st.text())
def test_no_value_ever_adds_a_line_to_a_unit(argument: str, variable: str) -> None:
    try:
        rendered = render_release(
            {}, None, Service("web", "web", ("{{ a }}",), {"B": "{{ b }}"}), {"a": argument, "b": variable}
        )
    except SpecError:
        assert not (argument.isprintable() and variable.isprintable())
        return
    lines = rendered.files["web.service"].decode().splitlines()
    assert len(lines) == len(default_unit(Service("web", "web", ("x",), {"B": "x"})).splitlines())


@given(st.text(max_size=200))
def test_any_text_as_a_template_is_a_text_or_an_explained_error(source: str) -> None:
    with suppress(SpecError):
        render({"a": source}, VARIABLES)


@pytest.mark.parametrize(
    ("path", "fits"),
    [
        ("b" * 100, True),
        ("b" * 101, False),
        ("a" * 155 + "/" + "b" * 100, True),
        ("a" * 156 + "/" + "b" * 100, False),
        ("a" * 60 + "/" + "b" * 60, True),
        ("a" * 60 + "/" + "b" * 101, False),
    ],
)
def test_a_path_is_refused_exactly_where_an_archive_does_not_take_it(path: str, *, fits: bool) -> None:
    assert fits_archive(path) is fits
    try:
        Rendered.of({path: b""}).payload()
        assert fits
    except ValueError:
        assert not fits


SEALED = {"secret": Vaulted.at(Where("group_vars/web.yml", 3, 9)), "pair": {"of": [1, Vaulted.at(Where("x"))]}}


@pytest.mark.parametrize(
    "template",
    ["{{ secret }}", "{{ secret | upper }}", "{{ secret | default('x') }}", "{{ secret ~ 'x' }}", "{{ -secret }}",
     "{{ secret | tojson }}", "{% if secret %}{% endif %}", "{{ secret == 'x' }}", "{{ 'x' in secret }}",
     "{{ secret.x }}", "{{ '%s' % secret }}", "{{ [secret] | join }}", "{{ secret | length }}", "{{ pair }}",
     "{{ pair.of[1] }}"],
)  # fmt: skip
def test_an_encrypted_value_is_refused_by_every_use(template: str) -> None:
    with pytest.raises(SpecError, match=r"GP407 template: ('secret'|'pair.of.1.'|Object of type Encrypted)"):
        render({"config.yaml": template}, SEALED)


def test_an_encrypted_value_that_is_not_used_is_no_mistake() -> None:
    found = render({"config.yaml": "{{ pair.of[0] }} {{ secret is defined }}"}, SEALED)
    assert found.files["config.yaml"] == b"1 True"


def test_a_variable_may_have_any_name() -> None:
    variables = dict.fromkeys(("self", "args", "kwargs", "context", "class", "a-b"), "x")
    assert render({"config.yaml": "{{ args }}{{ context }}"}, variables).files["config.yaml"] == b"xx"

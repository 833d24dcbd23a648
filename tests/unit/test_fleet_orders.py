"""Orders, records and facts: their wire forms, their schemas, and which orders a host still needs."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gopub.errors import GopubError
from gopub.fleet import program
from gopub.fleet.facts import Fence, HostFacts, ReleaseDir, UnitFacts, Wanted, host_steps, needs
from gopub.fleet.orders import PINNED, VERBS, Order, Record
from gopub.process import run

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests/cases/fleet"
FOLDERS = {
    "new": ("a" * 64, "b" * 64),
    "old": ("c" * 64, "d" * 64),
    "o2": ("e" * 64, "e" * 64),
    "o3": ("f" * 64, "f" * 64),
}
ORDER = Order(
    verb="stage",
    host="app1",
    machine_id="0" * 32,
    instance="orders",
    app="orders",
    env="prod",
    epoch=3,
    token="ab" * 16,
    n=17,
    release="a" * 64,
    render="b" * 64,
    digests={"binary": "1" * 64, "archive": "2" * 64},
    arguments={"url": "https://store/x?X-Amz-Signature=secret", "archive_size": "5", "check.0": "orders"},
    reason="a release",
)


def checked(schema: str, value: object) -> None:
    found = json.loads((files("gopub.schemas") / f"{schema}.v1.json").read_text())
    jsonschema.Draft202012Validator.check_schema(found)
    jsonschema.validate(value, found, cls=jsonschema.Draft202012Validator)


def folder(name: str) -> str:
    release, render = FOLDERS[name]
    return f"{release[:12]}-{render[:12]}"


def named(name: str) -> ReleaseDir:
    release, render = FOLDERS[name]
    return ReleaseDir(release, render, f"{'9' * 63}{len(name)}")


def facts_of(case: dict[str, Any]) -> HostFacts:
    """A host as a case describes it: ``runs`` is the folder whose binary its process is."""
    unit = UnitFacts()
    if "runs" in case:
        running = named(case["runs"])
        exe = f"/opt/orders/releases/{running.name}/bin/orders"
        unit = UnitFacts("loaded", "active", "running", 7, 0, "i", exe, running.binary, (8080,))
    verb, _, half = case.get("half", "").partition(":")
    return HostFacts(
        "app1",
        "0" * 32,
        current=named(case["current"]) if "current" in case else None,
        previous=folder(case["previous"]) if "previous" in case else "",
        releases=tuple(folder(name) for name in case.get("releases", ())),
        epoch=3,
        token="ab" * 16,
        n=5,
        half=f"{verb}:{folder(half)}" if half else None,
        unit=unit,
    )


def wanted(keep: int = 5) -> Wanted:
    release, render = FOLDERS["new"]
    digests = {"archive": "1" * 64, "binary": named("new").binary, "files": "3" * 64}
    arguments: Any = {"stage": {"archive_size": "5"}, "verify": {"port": "8080"}}
    return Wanted("orders", "prod", "orders", release, render, digests, arguments, keep, "why")


def test_an_order_on_the_wire() -> None:
    assert ORDER.lines().decode().splitlines() == [
        "gopub=1",
        "verb=stage",
        "host=app1",
        f"machine_id={'0' * 32}",
        "instance=orders",
        "app=orders",
        "env=prod",
        "epoch=3",
        f"token={'ab' * 16}",
        "n=17",
        f"release={'a' * 64}",
        f"render={'b' * 64}",
        "reason=a release",
        f"digest.archive={'2' * 64}",
        f"digest.binary={'1' * 64}",
        "arg.archive_size=5",
        "arg.check.0=orders",
        "arg.url=https://store/x?X-Amz-Signature=secret",
        "",
    ]


def test_what_is_written_down_of_an_order_has_no_secret() -> None:
    checked("order", ORDER.to_json())
    assert "secret" not in json.dumps(ORDER.to_json())


def test_the_schema_of_orders_refuses_what_is_none() -> None:
    for field, value in (("verb", "reboot"), ("n", -1), ("release", "xyz"), ("surprise", 1)):
        with pytest.raises(jsonschema.ValidationError):
            checked("order", {**ORDER.to_json(), field: value})


@pytest.mark.parametrize("text", ["a\nn=99", "a\rb", "a\x00b", "a\tb", "a\x1bb", "a\u2028b", "\x7f"])
@pytest.mark.parametrize("field", ["reason", "host", "arguments", "digests"])
def test_no_value_starts_a_line_of_its_own(field: str, text: str) -> None:
    value: Any = {"url": text} if field in ("arguments", "digests") else text
    with pytest.raises(GopubError, match="GP419"):
        replace(ORDER, **{field: value}).lines()


@given(st.text())
def test_every_printable_reason_is_one_line(reason: str) -> None:
    order = replace(ORDER, reason=reason)
    if reason.isprintable():
        lines = order.lines().decode().split("\n")
        assert len(lines) - 2 == len(order.pairs())
    else:
        with pytest.raises(GopubError):
            order.lines()


RECORD = """Welcome to app1!
gopub-record=1
host=app1
verb=switch
epoch=3
token=abab
n=17
ok=true
changed=false
code=
message=it runs = well
value.current=abc-def
value.unit.exe=/opt/x=y
end=1
"""


def test_a_record_is_read_whatever_was_printed_before_it() -> None:
    record = Record.parse(RECORD, host="other")
    assert record == Record(
        "app1", "switch", 3, "abab", 17, ok=True, changed=False, message="it runs = well",
        values={"current": "abc-def", "unit.exe": "/opt/x=y"},
    )  # fmt: skip
    checked("record", record.to_json())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("gopub-record=1\n", ""), "it answered no record"),
        (("end=1\n", ""), "its record has no end"),
        (("epoch=3\n", ""), "its record is damaged"),
        (("epoch=3", "epoch=three"), "its record is damaged"),
        (("ok=true", "ok=perhaps"), "its record is damaged"),
        (("verb=switch", "verb=reboot"), "its record is damaged"),
        (("end=1\n", "end=1\nbash: bye\n"), "its record has no end"),
    ],
)
def test_a_damaged_record_is_none(change: tuple[str, str], text: str) -> None:
    with pytest.raises(GopubError, match="GP416") as caught:
        Record.parse(RECORD.replace(*change), host="app1")
    assert text in str(caught.value)


def test_a_record_becomes_the_error_it_tells() -> None:
    record = Record("app1", "stage", 1, "", 2, ok=False, changed=False, code="GP421", message="no room")
    assert str(record.error()) == "GP421 app1: stage: no room"


FACTS = {
    "machine_id": "0" * 32,
    "boot_id": "b",
    "hostname": "app1",
    "arch": "amd64",
    "kernel": "6.1",
    "free_bytes": "1000",
    "free_inodes": "10",
    "epoch": "3",
    "token": "ab",
    "n": "5",
    "half": "",
    "current": folder("new"),
    "previous": folder("old"),
    "releases": f"{folder('new')} {folder('old')}",
    "current_release": "a" * 64,
    "current_render": "b" * 64,
    "current_digest": "9" * 64,
    "unit.load": "loaded",
    "unit.active": "active",
    "unit.sub": "running",
    "unit.main_pid": "7",
    "unit.n_restarts": "1",
    "unit.invocation": "i",
    "unit.exe": f"/opt/orders/releases/{folder('new')}/bin/orders",
    "unit.exe_digest": "9" * 64,
    "unit.listening": "22,8080",
}


def told(**changes: str) -> Record:
    return Record("app1", "facts", 0, "", 0, ok=True, changed=False, values={**FACTS, **changes})


def test_facts_are_read_and_fit_their_schema() -> None:
    facts = HostFacts.parse(told())
    assert facts.runs == folder("new")
    assert facts.unit.listening == (22, 8080)
    assert facts.releases == (folder("new"), folder("old"))
    checked("facts", facts.to_json())
    nothing = told(**{"current": "", "releases": "", "unit.listening": "", "unit.exe": "", "unit.exe_digest": ""})
    empty = HostFacts.parse(nothing)
    assert (empty.current, empty.releases, empty.runs) == (None, (), "")
    checked("facts", empty.to_json())


@pytest.mark.parametrize(
    "changes",
    [
        {"unit.exe_digest": "8" * 64},
        {"unit.exe": f"/opt/orders/releases/{folder('old')}/bin/orders"},
        {"unit.exe": "/usr/bin/orders"},
        {"unit.active": "failed"},
        {"current": ""},
    ],
)
def test_a_host_runs_a_release_only_if_its_process_proves_it(changes: dict[str, str]) -> None:
    assert HostFacts.parse(told(**changes)).runs == ""


@pytest.mark.parametrize("changes", [{"n": "many"}, {"unit.main_pid": ""}, {"unit.listening": "a"}])
def test_damaged_facts_are_none(changes: dict[str, str]) -> None:
    with pytest.raises(GopubError, match="GP416"):
        HostFacts.parse(told(**changes))


def test_facts_that_failed_raise_what_failed() -> None:
    with pytest.raises(GopubError, match="GP430 app1: facts: no"):
        HostFacts.parse(replace(told(), ok=False, code="GP430", message="no"))


@pytest.mark.parametrize("case", YAML(typ="safe", pure=True).load(CASES / "steps.yaml"), ids=lambda case: case["name"])
def test_what_a_host_still_needs(case: dict[str, Any]) -> None:
    assert list(needs(facts_of(case["facts"]), wanted(case.get("keep", 5)))) == case["verbs"]


def test_orders_are_numbered_one_after_another_and_carry_what_their_verb_needs() -> None:
    steps = host_steps(facts_of({}), wanted(), Fence(3, "ab" * 16, 5))
    assert [(step.verb, step.n) for step in steps] == [("stage", 6), ("switch", 7), ("verify", 8)]
    assert set(steps[0].digests) == {"archive", "binary", "files"}
    assert dict(steps[1].digests) == {"binary": named("new").binary}
    assert dict(steps[2].arguments) == {"port": "8080"}
    for step in steps:
        assert (step.folder, step.reason, step.epoch) == (folder("new"), "why", 3)
        checked("order", step.to_json())


def test_on_the_facts_that_follow_nothing_is_needed() -> None:
    after = facts_of({"releases": ["new"], "current": "new", "runs": "new"})
    assert host_steps(after, wanted(), Fence(3, "ab" * 16, 8)) == ()


def test_the_program_fits_on_a_command_line_and_carries_every_verb() -> None:
    text = program.text()
    assert len(text.encode()) < program.MOST_BYTES
    assert text.isascii()
    for verb in set(VERBS) - PINNED - {"facts", "status"}:
        assert re.search(rf"^do_{verb}\(\)", text, re.MULTILINE), verb


def test_every_code_of_hosts_and_inventories_has_its_page() -> None:
    sources = [*(ROOT / "gopub/fleet").rglob("*.py"), *(ROOT / "gopub/fleet").rglob("*.sh")]
    codes = {code for path in sources for code in re.findall(r"\bGP4\d\d\b", path.read_text())}
    assert len(codes) > 40, "control: the codes are found"
    pages = {path.stem for path in (ROOT / "docs/errors").glob("GP4*.md")}
    assert codes - pages == set()
    for code in codes:
        assert (ROOT / f"docs/errors/{code}.md").read_text().startswith(f"# {code} ")


def test_the_reference_names_every_argument_that_the_program_takes() -> None:
    order = (files("gopub.fleet.program") / "order.sh").read_text()
    taken = set(re.findall(r"arg\.([a-z_]+)", order)) - {"check", "word"}
    page = (ROOT / "docs/reference/host-program.md").read_text()
    assert len(taken) > 10
    assert {name for name in taken if f"`{name}`" not in page} == set()


@pytest.mark.parametrize(
    ("machine", "arch"),
    [("x86_64", "amd64"), ("aarch64", "arm64"), ("armv6l", "arm"), ("armv7l", "arm"), ("armv8l", "arm"),
     ("i686", "386"), ("riscv64", "riscv64"), ("ppc64le", "ppc64le"), ("s390x", "s390x"),
     ("loongarch64", "loong64"), ("mips64", "mips64le"), ("mips", "mipsle")],
)  # fmt: skip
async def test_a_machine_has_go_s_name(machine: str, arch: str) -> None:
    """The byte order of MIPS is that of this machine's programs, which begin with the little end."""
    part = (files("gopub.fleet.program") / "facts.sh").read_text("utf-8")
    done = await run(("sh", "-c", f"{part}\nkernel_says() {{ machine={machine}; }}\narchitecture; echo $machine"))
    assert done.text == arch


@pytest.mark.parametrize("text", [program.text(), program.enrolled()], ids=["sent", "enrolled"])
def test_each_function_of_the_host_program_has_a_name_of_its_own(text: str) -> None:
    """Its parts are joined to one: of two functions of a name the later one is called by both parts."""
    names = re.findall(r"^([a-z_]+)\(\)", text, re.MULTILINE)
    assert {"is_ours", "taken"} < set(names)
    assert sorted({name for name in names if names.count(name) > 1}) == []

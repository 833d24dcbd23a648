"""Which hosts a selector means where labels are lists, templates or numbers, and where a name is a group's."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gopub.canon import Json
from gopub.errors import GopubError, SpecError, UsageError
from gopub.fleet.inventory import load_inventory, parse_inventory
from gopub.fleet.inventory.load import Inventory
from gopub.fleet.inventory.values import label, literal, same
from gopub.spec.selector import parse_selector

NAMED = """\
[orders]
w1 role=orders
w2 role=orders
[broken]
w2
[orders:children]
withlist
[withlist]
w3 role=orders
[db]
d1 role=db rack="{{ site }}"
"""
FILES: dict[str, dict[str, Json]] = {
    "group_vars/broken": {"quarantine": "{{ true }}"},
    "group_vars/withlist": {"quarantine": ["disk"]},
}
EVERY = ("{0}", "!{0}", "{0}=x", "{0}!=x", "{0} in (x,y)", "{0} notin (x,y)")


def fleet(text: str = NAMED, files: dict[str, dict[str, Json]] | None = None) -> Inventory:
    known = FILES if files is None else files
    return parse_inventory(text, "hosts.ini", lambda kind, name: known.get(f"{kind}/{name}", {}))


def meant(inventory: Inventory, selector: str) -> list[str]:
    return [host.name for host in inventory.select(parse_selector(selector))]


def refusal(inventory: Inventory, selector: str) -> GopubError:
    with pytest.raises(UsageError) as caught:
        inventory.select(parse_selector(selector))
    return caught.value


def test_a_host_whose_quarantine_is_a_template_is_not_taken_for_one_without() -> None:
    assert str(refusal(fleet(), "role=orders,!quarantine")) == (
        "hosts.ini: GP404 the selector asks for quarantine, which is a template for host w2\n"
        "hint: select by a plain variable or a group"
    )


@pytest.mark.parametrize("form", EVERY)
@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("{{ x }}", "is a template"),
        ("{% if x %}1{% endif %}", "is a template"),
        ("a{# b #}", "is a template"),
        ([], "is a list"),
        (["disk"], "is a list"),
        ({"a": 1}, "is a mapping"),
        (None, "is null"),
    ],
)
def test_no_operator_guesses_at_what_is_no_label(form: str, value: Json, why: str) -> None:
    inventory = fleet("w1\nw2\n", {"host_vars/w2": {"state": value}})
    error = refusal(inventory, form.format("state"))
    assert error.problem == f"the selector asks for state, which {why} for host w2"
    assert meant(fleet("w1\nw2\n", {}), "!state") == ["w1", "w2"], "control: where it is missing, nothing is refused"


def test_what_another_term_leaves_out_anyway_is_not_refused() -> None:
    inventory = fleet()
    assert meant(inventory, "role=db,!quarantine") == ["d1"]
    assert meant(inventory, "!quarantine,group notin (broken,withlist)") == ["w1", "d1"]
    assert meant(inventory, "role=orders") == ["w1", "w2", "w3"]
    assert refusal(inventory, "rack=a,group=db").code == "GP404", "control: here it decides"


@pytest.mark.parametrize(
    ("written", "text"),
    [("20261127.1", "20261127.1"), ("1.50", "1.5"), ("1.0", "1.0"), ("0.1234567890123", "0.1234567890123"),
     ("20261127", "20261127"), ("1e22", "1e+22"), ("True", "true")],
)  # fmt: skip
def test_a_number_keeps_its_digits(written: str, text: str) -> None:
    assert label(literal(written)) == text
    inventory = fleet(f"w1 rev={written}\nw2 rev=other\n", {})
    assert meant(inventory, f"rev={text}") == ["w1"]
    assert meant(inventory, f"rev!={text}") == ["w2"]


@pytest.mark.parametrize("wanted", ["1.10", "1.100", "01.1"])
@pytest.mark.parametrize("operator", ["=", "!="])
def test_the_same_number_in_other_digits_is_told(operator: str, wanted: str) -> None:
    error = refusal(fleet("w1 rev=1.10\n", {}), f"rev{operator}{wanted}")
    assert str(error) == (
        f"hosts.ini: GP404 the selector asks for rev, which is 1.1 for host w1: {wanted} is the same "
        "in another spelling\n"
        "hint: write 1.1; to keep what the inventory says as text, quote it there"
    )
    assert meant(fleet("w1 rev=\"'1.10'\"\n", {}), "rev=1.10") == ["w1"], "control: text stays as it is"
    assert meant(fleet("w1 rev=1.10\n", {}), "rev!=1.11") == ["w1"], "control: another number"


@pytest.mark.parametrize("wanted", ["yes", "True", "on"])
def test_a_truth_in_another_spelling_is_told(wanted: str) -> None:
    inventory = fleet("w1\nw2\n", {"host_vars/w2": {"quarantine": True}})
    assert "w2: " in refusal(inventory, f"quarantine!={wanted}").problem
    assert meant(inventory, "quarantine!=true") == ["w1"]
    assert meant(inventory, "quarantine!=no") == ["w1", "w2"], "control: the other truth is no spelling of it"


@pytest.mark.parametrize("wanted", ["true", "True", "yes", "on", "1"])
@pytest.mark.parametrize("written", ["yes", "true", "On", "True", "1", "'1'"])
def test_a_quarantine_in_any_spelling_is_left_out_or_told(written: str, wanted: str) -> None:
    inventory = fleet(f"w1\nw2 quarantine={written}\n", {})
    if inventory.hosts[1].labels["quarantine"] == wanted:
        assert meant(inventory, f"quarantine!={wanted}") == ["w1"]
    else:
        assert refusal(inventory, f"quarantine!={wanted}").code == "GP404"
    assert meant(fleet("w1\nw2 quarantine=no\n", {}), f"quarantine!={wanted}") == ["w1", "w2"], "control: it is in use"


def test_a_truth_that_is_text_is_told_as_it_stands() -> None:
    error = refusal(fleet("w1 quarantine=yes\n", {}), "quarantine!=true")
    assert str(error) == (
        "hosts.ini: GP404 the selector asks for quarantine, which is yes for host w1: true is the same in another "
        "spelling\nhint: write yes"
    )


@pytest.mark.parametrize(
    ("written", "wanted"), [("0x10", "0x10"), ("16", "0x10"), ("0b11", "0b11"), ("1_000", "1_000")]
)
def test_a_number_with_another_base_is_told(written: str, wanted: str) -> None:
    assert refusal(fleet(f"w1 rev={written}\n", {}), f"rev!={wanted}").code == "GP404"
    assert meant(fleet(f"w1 rev={written}\n", {}), "rev!=0x11") == ["w1"], "control: another number"


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans()))
def test_a_label_is_the_same_as_its_value(value: float) -> None:
    assert same(value, str(label(value)))


@given(st.one_of(st.integers(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)), st.text())
def test_any_word_can_be_held_against_any_value(value: float, word: str) -> None:
    assert same(value, word) in (True, False)


def test_the_name_of_a_group_selects_it() -> None:
    inventory = fleet()
    assert meant(inventory, "orders") == meant(inventory, "group=orders") == ["w1", "w2", "w3"]
    assert meant(inventory, "orders,!withlist") == ["w1", "w2"]
    assert meant(inventory, "all,!orders") == ["d1"]
    assert meant(inventory, "role") == ["w1", "w2", "w3", "d1"], "control: a label is a label"
    assert refusal(inventory, "orders,role=db").code == "GP405"


def test_a_name_that_is_a_group_and_a_label_of_other_hosts_is_refused() -> None:
    text = "[blue]\nw1\nw2\n[green]\nw3 blue=1\n"
    for selector, wanted in (("blue", "group=blue"), ("!blue", "group!=blue")):
        error = refusal(fleet(text, {}), selector)
        assert (error.code, error.hint) == (
            "GP404", f"for the group write {wanted}; for the variable ask for its values: blue in (…)",
        )  # fmt: skip
    assert meant(fleet("[blue]\nw1 blue=1\n[green]\nw3\n", {}), "!blue") == ["w3"], "control: the same hosts either way"


@pytest.mark.parametrize(
    ("selector", "hint"),
    [
        ("order", "no host has a label order; did you mean group=orders?"),
        ("orders=x", "no host has a label orders; for the group write group=orders"),
        ("zzzz", "no host has a label zzzz"),
        ("w1", "no host has a label w1; for the host write inventory_hostname=w1"),
    ],
)
def test_a_name_that_is_nearly_a_group_says_how_to_write_it(selector: str, hint: str) -> None:
    error = refusal(fleet(), selector)
    assert (error.code, error.hint) == ("GP405", hint)


@pytest.mark.parametrize(
    ("selector", "hint"),
    [
        ("2024", "for a group write group=2024, for a host inventory_hostname=2024"),
        ("app:web", "where app:web is a pattern of Ansible's, write group in (app,web)"),
        ("app:&web:!out", "where app:&web:!out is a pattern of Ansible's, write group=app,group=web,group!=out"),
        ("app:", 'write terms such as "role=orders,region in (a,b),!quarantine"'),
    ],
)
def test_a_name_or_pattern_that_is_no_label_says_how_to_write_it(selector: str, hint: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_selector(selector)
    assert (caught.value.code, caught.value.hint) == ("GP132", hint)
    _, written = hint.rsplit("write ", 1)
    if ":" in selector and "group" in written:
        assert parse_selector(written), "what is advised is a selector"
    assert meant(fleet("[2024]\nw1\n", {}), "group=2024") == ["w1"]


@pytest.mark.parametrize("text", ["(" * 300_000, ",(" * 150_000, "(" + "a," * 150_000, "role in (" + "x," * 150_000])
def test_a_selector_as_long_as_a_file_is_refused_in_a_few_words(text: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_selector(text)
    assert caught.value.code == "GP132"
    assert len(str(caught.value)) < 400


def test_a_host_knows_its_name_and_its_groups_whatever_its_variables_say() -> None:
    inventory = fleet("[a]\nw1.example inventory_hostname=x\nw2 group=b\n[b]\nw3\n", {})
    assert meant(inventory, "inventory_hostname=w1.example") == ["w1.example"]
    assert meant(inventory, "inventory_hostname_short!=w1") == ["w2", "w3"]
    assert meant(inventory, "group=a") == ["w1.example", "w2"]
    assert "not in it" in refusal(inventory, "group!=b").problem


def test_variable_files_are_the_ones_that_ansible_takes(tmp_path: Path) -> None:
    (tmp_path / "hosts.ini").write_text("[w]\nw1\n")
    folder = tmp_path / "group_vars/w.yml"
    (folder / "deeper").mkdir(parents=True)
    (folder / "no.d").mkdir()
    (folder / "a.yml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    (folder / "deeper/b").write_text("b: 2\n")
    (folder / "c.yml.").write_text("c: 3\n")
    (folder / "no.d/d.yml").write_text("d: 4\n")
    assert load_inventory(tmp_path / "hosts.ini").hosts[0].labels == {"a": "1", "b": "2"}

"""A template that wants too much is refused before it gets it; what slips through dies with a child, not with us."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gopub.errors import GopubError
from gopub.sandbox import TemplateFault, asking, check_syntax, fill
from gopub.sandbox.weight import MOST_TEXT, weight

LONG = "x" * 1000
TABS = "\t" * 200_000
BIG = {"big": "y" * (MOST_TEXT // 2), "tabs": TABS, "long": LONG}


def child() -> int:
    """The process that fills in templates now; it is started if there is none."""
    assert fill("a", {}) == "a"
    companion = asking._ASKING._child
    assert companion is not None
    return companion._child.pid


REFUSED_BEFORE = {
    "squares of a large number": "{% set ns=namespace(x=99999) %}{% for i in range(21) %}{% set ns.x=ns.x*ns.x %}"
    "{% endfor %}",
    "a power of powers": "{{ (99999 ** 64) * (99999 ** 64) * (99999 ** 64) * (99999 ** 64) }}",
    "sums of large numbers": "{% set ns=namespace(x=2**64) %}{% for i in range(5000) %}{% set ns.x=ns.x+ns.x %}"
    "{% endfor %}",
    "a width that is an argument": "{{ '%*d' % (999999999, 1) }}",
    "a precision that is an argument": "{{ '%.*f' % (999999999, 1.0) }}",
    "the same by a filter": "{{ '%*d'|format(999999999, 1) }}",
    "many widths": "{{ ('%9999d' * 200) % ((1,) * 200) }}",
    "a pattern that repeats a value": "{{ ('%(a)s' * 100) % {'a': big} }}",
    "many values": "{{ ('%s' * 100) % ((big,) * 100) }}",
    "a format that repeats a value": "{{ ('{0}' * 100).format(big) }}",
    "a format by a mapping": "{{ ('{a}' * 100).format_map({'a': big}) }}",
    "wide tabs": "{{ tabs.expandtabs(100000) }}",
    "tabs of the usual width": "{{ tabs.expandtabs() }}",
    "a long separator": "{{ range(10000)|join(long) }}",
    "a long separator of what comes one by one": "{{ range(90000)|map('string')|join(long) }}",
    "a long separator by method": "{{ long.join(range(10000)|map('string')) }}",
    "long items that come one by one": "{{ range(10000)|map('replace', '', long)|join }}",
    "a replacement": "{{ big.replace('y', long) }}",
    "a replacement of nothing": "{{ big|replace('', long) }}",
    "indented lines": "{{ tabs.replace('\\t', '\\n')|indent(99999) }}",
    "lines wrapped by much": "{{ big|wordwrap(1, wrapstring=long) }}",
    "a deep indentation": "{{ range(90000)|list|tojson(indent=9999) }}",
    "a translation": "{{ big.translate({121: long}) }}",
    "bytes of a number": "{{ (5).to_bytes(999999999, 'big') }}",
    "a list of one text many times": "{{ [big] * 99999 }}",
    "lists in lists": "{% set ns=namespace(x=['a']) %}{% for i in range(60) %}{% set ns.x=[ns.x, ns.x] %}{% endfor %}",
    "tuples in tuples": "{% set ns=namespace(x='ab') %}{% for i in range(60) %}{% set ns.x=(ns.x, ns.x) %}{% endfor %}",
    "mappings in mappings": "{% set ns=namespace(x='ab') %}{% for i in range(60) %}{% set ns.x={'a':ns.x,'b':ns.x} %}"
    "{% endfor %}",
    "many parts put together": "{{ " + " ~ ".join(["big"] * 50) + " }}",
    "a text of a macro": "{% macro m() %}{% for i in range(40000) %}{{ long * 9 }}{% endfor %}{% endmacro %}"
    "{% set x = m() %}",
    "a fixed text in a macro": "{% macro m() %}{% for i in range(40000) %}" + "z" * 9000 + "{% endfor %}{% endmacro %}"
    "{% set x = m() %}",
    "a block that is set": "{% set x %}{% for i in range(40000) %}{{ long }}{% endfor %}{% endset %}",
    "what a namespace keeps": "{% set ns=namespace() %}{% set ns.a=big %}{% set ns.b=big %}{% set ns.c=big %}{{ ns }}",
    "work on a large text in a loop": "{% for i in range(49000) %}{% set x = big|upper %}{% endfor %}",
}


@pytest.mark.parametrize("template", REFUSED_BEFORE.values(), ids=REFUSED_BEFORE)
def test_an_excess_is_refused_before_it_is_made(template: str) -> None:
    before = child()
    with pytest.raises(TemplateFault) as caught:
        fill(f"\n\n{template}", BIG)
    assert (caught.value.kind, caught.value.line) == ("excess", 3), caught.value
    assert child() == before, "the child had to be killed: the work was begun"


def test_without_the_budgets_such_a_template_gets_what_it_wants() -> None:
    """Control: Jinja's own sandbox does as it is told, here with a small number."""
    plain = ImmutableSandboxedEnvironment()
    assert len(plain.from_string("{{ '%*d' % (200000, 1) }}").render()) == 200_000
    with pytest.raises(TemplateFault, match="a width in '%\\*d' is too large"):
        fill("{{ '%*d' % (200000, 1) }}", {})


SLIPS_THROUGH = {
    "comparisons": "{% for i in range(49000) %}{% if big ~ 'a' == big ~ 'b' %}{% endif %}{% endfor %}",
    "searches": "{% for i in range(49000) %}{% if 'z' in big and 'zz' in big %}{% endif %}{% endfor %}",
    "slices": "{% for i in range(49000) %}{% set x = big[1:] %}{% set y = big[2:] %}{% set z = big[3:] %}{% endfor %}",
}


@pytest.mark.parametrize("template", SLIPS_THROUGH.values(), ids=SLIPS_THROUGH)
def test_what_no_budget_counts_ends_by_the_limits_of_the_child_and_names_its_line(template: str) -> None:
    fault = None
    try:
        fill(f"a\nb\n\n{template}", {"big": "y" * (MOST_TEXT - 100)})
    except TemplateFault as error:
        fault = error
    assert fault is None or (fault.kind, fault.line) == ("excess", 4), fault  # a fast machine may get through
    assert fill("{{ 1 + 1 }}", {}) == "2", "the next template has a child of its own"


def worked(pid: int) -> int:
    """Ticks of the processor that it has used."""
    user, kernel = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[11:13]
    return int(user) + int(kernel)


def test_a_child_that_is_over_its_time_is_ended_and_tells_the_line() -> None:
    """The signal that the kernel sends for it, sent by hand: whatever the child computes then is told by its line."""
    before = child()
    idle = worked(before)

    def late() -> None:
        while worked(before) < idle + 30:
            time.sleep(0.01)
        os.kill(before, signal.SIGXCPU)

    threading.Thread(target=late).start()
    with pytest.raises(TemplateFault, match=r"more than \d s of processor time") as caught:
        fill("one\n{% for i in range(49000) %}\n{% set x = big[1:] %}\n{% endfor %}", BIG)
    assert caught.value.kind == "excess"
    assert caught.value.line in (0, 2, 3)  # 0: it came before the first line ran
    assert child() != before


def test_memory_has_an_end_as_well() -> None:
    """Values that are each allowed, and many of them: no budget counts what is kept by name."""
    many = "".join(f"{{% set a{n} = big ~ '{n}' %}}" for n in range(2000))
    with pytest.raises(TemplateFault) as caught:
        fill(many, {"big": "y" * (MOST_TEXT - 100)})
    assert caught.value.kind == "excess"


@pytest.mark.parametrize("template", ["{{ (" * 3000 + "1" + ") }}" * 3000, "{% if 1 %}" * 3000,
                                      "{% for a in [1] %}" * 30 + "{% endfor %}" * 30, "{{ " + "-" * 20000 + "1 }}",
                                      "{{ " + "[" * 200 + "]" * 200 + " }}"])  # fmt: skip
def test_what_python_cannot_compile_is_the_templates_mistake(template: str) -> None:
    for ask in (check_syntax, lambda text: fill(text, {})):
        with suppress(TemplateFault):  # a Python that takes it is none the worse
            ask(template)


def test_nothing_of_ours_is_in_the_childs_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted")
    monkeypatch.setattr(asking, "_ASKING", asking.Asking())  # the one before may be older than the secret
    environment = Path(f"/proc/{child()}/environ").read_bytes().split(b"\0")
    assert {one.split(b"=")[0] for one in environment if one} == {b"PYTHONPATH", b"LANG"}
    assert b"planted" in Path("/proc/self/environ").read_bytes() or os.environ["AWS_SECRET_ACCESS_KEY"] == "planted"


def test_a_child_that_cannot_run_is_no_templates_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_ASKING", asking.Asking())
    monkeypatch.setattr(asking.sys, "executable", "/bin/false")
    with pytest.raises(GopubError, match="GP966"):
        fill("a", {})


PLAIN = st.text(max_size=5) | st.integers() | st.none() | st.floats() | st.booleans()


@given(
    st.recursive(PLAIN, lambda one: st.lists(one, max_size=4) | st.dictionaries(st.text(max_size=3), one, max_size=4))
)
def test_the_weight_of_a_value_is_about_the_text_that_it_makes(value: object) -> None:
    text = str(value)
    assert weight(value) >= (len(text) - 10) / 12  # escapes such as \U0001f600 are ten characters for one

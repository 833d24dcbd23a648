"""Every word of the command line leaves through one sink, and the sink shows what would be obeyed."""

from __future__ import annotations

import ast
import io
import json
from pathlib import Path

import pytest

from gopub.cli.saying import cell, console, forgive, say, say_table
from gopub.telemetry import Redactor

ROOT = Path(__file__).parents[2]
TREE = sorted(path for path in (ROOT / "gopub").rglob("*.py"))
NAMES = frozenset({"echo", "secho", "print", "pprint", "Console", "rprint", "echo_via_pager", "print_exc"})
"""What prints, by the last word of its call; `X.print` of a console is looked at below."""
STREAMS = frozenset({"sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__"})
ALLOWED = {
    "gopub/cli/saying.py": "the sink",
    "gopub/cli/lab.py": "`lab exec` hands on the bytes of a command that its caller named",
    "gopub/sandbox/child.py": "its stdout is the pipe to the process that started it",
    "gopub/evidence/signing_child.py": "its stdout is the pipe to the process that started it",
    "gopub/notify/backends/child.py": "its stdout is the pipe to the process that started it",
    "gopub/cli/spec.py": "prints cells on the sink's console",
    "gopub/cli/demo/talk.py": "prints cells on the sink's console",
}
HOSTILE = "\x1b]0;owned\x07[red]\u202e\r\x7f"
SHOWN = r"\u001b]0;owned\u0007[red]\u202e\r\u007f"


def prints(text: str) -> list[str]:
    """What in a module writes to a terminal by itself."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name.split(".")[-1] in NAMES:
                found.append(name)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in STREAMS and node.attr in ("write", "buffer"):
            found.append(ast.unparse(node))
        if isinstance(node, ast.ImportFrom) and node.module in ("click", "typer", "rich", "rich.console"):
            found += [alias.name for alias in node.names if alias.name in NAMES]
    return found


def types_only(text: str) -> str:
    """A module without what it imports for its types alone."""
    tree = ast.parse(text)
    tree.body = [node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node))]
    return ast.unparse(tree)


def test_nothing_else_prints() -> None:
    found = {path.relative_to(ROOT).as_posix(): prints(types_only(path.read_text("utf-8"))) for path in TREE}
    assert {name: calls for name, calls in found.items() if calls and name not in ALLOWED} == {}
    assert set(ALLOWED) == {name for name, calls in found.items() if calls} | {"gopub/sandbox/child.py"}


@pytest.mark.parametrize("name", ["gopub/cli/spec.py", "gopub/cli/demo/talk.py"])
def test_a_console_is_given_cells_alone(name: str) -> None:
    assert set(prints((ROOT / name).read_text("utf-8"))) <= {"out.print", "self.console.print"}


@pytest.mark.parametrize(
    "text",
    [
        "import typer\ntyper.echo(a)",
        "def f():\n print(a)",
        "from typer import echo",
        "from rich import print",
        "import sys\nsys.stdout.write(a)",
        "import sys\nsys.stderr.buffer.write(a)",
        "from rich.console import Console\nConsole().print(a)",
        "import click\nclick.secho(a)",
    ],
)
def test_what_prints_is_found(text: str) -> None:
    assert prints(text)
    assert not prints("from gopub.cli.saying import say\nsay(a)\nsys.stdout.isatty()")


@pytest.mark.parametrize("err", [False, True])
def test_it_shows_what_would_be_obeyed(capsys, err: bool) -> None:
    say(f"a\t{HOSTILE}\nb", err=err)
    read = capsys.readouterr()
    assert (read.err if err else read.out) == f"a\t{SHOWN}\nb\n"
    assert not (read.out if err else read.err)


def test_json_stays_json(capsys) -> None:
    document = {"reason": HOSTILE, "发布": ["x\ny"]}
    say(json.dumps(document, ensure_ascii=False, indent=2))
    assert json.loads(capsys.readouterr().out) == document


def test_a_secret_does_not_leave(capsys, monkeypatch) -> None:
    redactor = Redactor()
    redactor.learn("hunter2-secret")
    monkeypatch.setattr("gopub.cli.saying.REDACTOR", redactor)
    say("token hunter2-secret")
    say_table(("a",), [("token hunter2-secret",)])
    assert "hunter2" not in capsys.readouterr().out


def test_a_table_takes_nothing_for_markup(capsys) -> None:
    say_table(("app", "why"), [("orders", f"[bold]x[/bold] :smile: {HOSTILE}\nz")])
    said = capsys.readouterr().out
    assert r"[bold]x[/bold] :smile: \u001b]0;owned\u0007[red]\u202e\r\u007f\nz" in said
    console().print("[bold]x[/bold]")
    assert capsys.readouterr().out == "[bold]x[/bold]\n"
    assert cell(HOSTILE).plain == SHOWN


def test_a_terminal_without_the_character_gets_its_number() -> None:
    raw = io.BytesIO()
    narrow = io.TextIOWrapper(raw, encoding="ascii")
    with pytest.raises(UnicodeEncodeError):  # control: this would end a rollout
        narrow.write("4 hosts → 100%")
    forgive(narrow)
    narrow.write("4 hosts → 100%")
    narrow.flush()
    assert raw.getvalue() == rb"4 hosts \u2192 100%"

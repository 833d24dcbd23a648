"""The Go modules that examples/hello has as packages of its own.

It is released from its folder alone, which no replacement may leave, and nobody can require a module that is not
published. Run as a program, this makes the copies anew.
"""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HELLO = ROOT / "examples/hello"
MODULES = ("drain", "handover", "hotconfig", "sdnotify")


def copied(module: str) -> dict[str, str]:
    """The files of a module by their names, as the example has them."""
    files = (path for path in sorted((ROOT / "go" / module).glob("*.go")) if not path.name.endswith("_test.go"))
    return {path.name: path.read_text().replace('"gopub.dev/', '"example.org/hello/') for path in files}


def main() -> None:
    """Write them all."""
    for module in MODULES:
        shutil.rmtree(HELLO / module, ignore_errors=True)
        (HELLO / module).mkdir()
        for name, text in copied(module).items():
            (HELLO / module / name).write_text(text)


if __name__ == "__main__":
    main()

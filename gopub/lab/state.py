"""Where labs are kept and the one file that says how a lab is laid out."""

from __future__ import annotations

import json
import os
from pathlib import Path

from gopub.errors import GopubError
from gopub.lab.layout import Layout, check_name, from_json, to_json
from gopub.paths import private_file, private_folder, state_dir

_FILE = "lab.json"


def labs_folder() -> Path:
    """The folder with one folder per lab: ``$GOPUB_LAB_DIR``, else ``lab`` in the user's state folder."""
    chosen = os.environ.get("GOPUB_LAB_DIR")
    return (Path(chosen) if chosen else state_dir() / "lab").resolve()


def lock_file(name: str) -> Path:
    """The lock of a lab, or of all subnets; the folder of labs is made where it is missing."""
    return private_folder(labs_folder()) / f".{name}.lock"


def home_of(name: str) -> Path:
    """The state folder of the lab ``name``."""
    return labs_folder() / check_name(name)


def load(home: Path) -> Layout | None:
    """The layout in a state folder; None without one.

    Raises:
        GopubError: GP806 the file cannot be read as this version's.
    """
    try:
        return from_json(json.loads((home / _FILE).read_text()), home)
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise GopubError(
            "GP806",
            f"{home / _FILE} is not a lab's state file of this version",
            hint=f"gopub lab down --name {home.name} clears it away",
        ) from error


def save(layout: Layout) -> None:
    """Write the state file in one step."""
    private_folder(layout.home)
    write(layout.home / _FILE, json.dumps(to_json(layout), indent=1) + "\n")


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file in one step, so that readers (Prometheus among them) see the old text or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    private_file(temporary).write_text(text)  # a key is never readable for others, not for a moment
    temporary.chmod(mode)
    temporary.rename(path)


def known_labs() -> tuple[str, ...]:
    """Names of all labs that have a state folder."""
    folder = labs_folder()
    found = (entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else ()
    return tuple(sorted(found))

"""Where things lie: the Prefect project, and the caches, state and configuration of a user.

A checkout is a Prefect project itself; the wheel carries the same files as ``gopub/project/``. The folders of a
user follow the XDG base directory specification: a variable that holds a relative path is ignored.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from gopub.errors import UsageError

PROJECT_FILE = "prefect.yaml"
OWN_SERVER = "_GOPUB_OWN_SERVER"
"""Set in a process whose Prefect server is its own and ends with it: nobody looks at it or knows its address."""


def project_root() -> Path:
    """The folder that holds prefect.yaml, flows, tasks, blocks and deployments.

    ``GOPUB_HOME`` wins, then the folder inside the installed package, then the checkout.

    Raises:
        UsageError: GP910 ``GOPUB_HOME`` names a folder that is no such project.
    """
    chosen = os.environ.get("GOPUB_HOME")
    if chosen:
        return _checked(Path(chosen))
    package = Path(__file__).resolve().parent
    shipped = package / "project"
    return shipped if (shipped / PROJECT_FILE).is_file() else package.parent


def _checked(root: Path) -> Path:
    if not (root / PROJECT_FILE).is_file():
        raise UsageError(
            "GP910",
            f"GOPUB_HOME is {str(root)!r}, and no {PROJECT_FILE} lies there",
            hint="unset it, or name the checkout of gopub",
        )
    return root.resolve()


def cache_dir() -> Path:
    """What can be fetched or built again: ``$GOPUB_CACHE``, else ``$XDG_CACHE_HOME/gopub``."""
    named = Path(os.environ.get("GOPUB_CACHE", ""))
    return named if named.is_absolute() else _xdg("XDG_CACHE_HOME", ".cache")


def state_dir() -> Path:
    """What must survive a restart: journal, deliveries, the lab; ``$XDG_STATE_HOME/gopub``."""
    return _xdg("XDG_STATE_HOME", ".local/state")


def config_dir() -> Path:
    """What a user sets: connections.yaml; ``$XDG_CONFIG_HOME/gopub``."""
    return _xdg("XDG_CONFIG_HOME", ".config")


def state_folder(*below: str) -> Path:
    """The state folder, or one below it, there and for its owner alone."""
    folder = private_folder(state_dir())
    for name in below:
        folder = private_folder(folder / name)
    return folder


def private_folder(folder: Path) -> Path:
    """A folder of gopub's own, which its owner alone may enter whatever the umask; an existing one is tightened."""
    _make(folder)
    _tighten(folder, 0o700)
    return folder


def private_file(file: Path) -> Path:
    """A file that its owner alone may read whatever the umask; a missing one is made, an existing one is tightened.

    Its folder is made where it is missing and else left as it is: who names a file does not give its folder away.
    """
    _make(file.parent)
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    _tighten(file, 0o600)
    return file


def private_database(file: Path) -> Path:
    """The same for a SQLite file and what lies beside it; SQLite makes those with the rights of the file itself."""
    private_file(file)
    for end in ("-wal", "-shm", "-journal"):
        _tighten(file.with_name(file.name + end), 0o600)
    return file


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700)
    except FileNotFoundError:
        if folder.parent.is_dir():  # a place where nobody makes folders, such as /proc
            raise
        _make(folder.parent)
        _make(folder)
    except FileExistsError:
        if not folder.is_dir():
            raise


def _tighten(path: Path, most: int) -> None:
    """Take away what others may do; what belongs to somebody else is theirs to tighten."""
    with suppress(FileNotFoundError, PermissionError):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & ~most & 0o777 and not mode & stat.S_ISVTX:  # a folder for everybody, as /tmp is, was not made by us
            path.chmod(mode & most)


def _xdg(variable: str, otherwise: str) -> Path:
    named = Path(os.environ.get(variable, ""))
    return (named if named.is_absolute() else Path.home() / otherwise) / "gopub"

"""~/.ssh/config and the files that it includes: read here, understood by ``gopub.fleet.sshconfig``."""

from __future__ import annotations

import getpass
import os
import socket
from functools import lru_cache
from glob import glob
from pathlib import Path

from gopub.errors import GopubError, Where
from gopub.fleet.sshconfig import Around, Asked, Settings, Unanswered, resolve
from gopub.fleet.sshwords import Line, lines, wrong
from gopub.process import base_environment, run

_DEEPEST = 16  # as ssh
_CONDITION_SECONDS = 10.0


def _around() -> tuple[tuple[Line, ...], Around]:
    home = Path("~").expanduser()
    around = Around(_user(), str(home), socket.gethostname(), os.getuid(), os.environ)
    return _read(home / ".ssh/config", Where("~/.ssh/config"), 0), around


async def settings_of(asked: Asked) -> Settings:
    """What the configuration of the user who runs gopub says of a host; a file that is not there says nothing.

    Raises:
        UsageError: GP352 a line that nobody can act on.
    """
    read, around = _around()
    answers: dict[str, bool] = {}
    while isinstance(found := resolve(read, asked, around, answers), Unanswered):
        answers[found.command] = await _holds(found.command)
    return found


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


async def _holds(command: str) -> bool:
    """Whether the command of a ``Match exec`` ends well; ssh gives it to a shell."""
    try:
        kept = base_environment(keep=("SSH_AUTH_SOCK", "SHELL", "LOGNAME"))
        result = await run(("sh", "-c", command), env=kept, check=False, timeout=_CONDITION_SECONDS)
    except GopubError:
        return False
    return result.code == 0


def _read(path: Path, where: Where, depth: int) -> tuple[Line, ...]:
    if depth > _DEEPEST:
        raise wrong(where, f"files include one another more than {_DEEPEST} deep")
    try:
        text = path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise wrong(where, f"{path}: {error.strerror}") from error
    name = where.file if depth == 0 else str(path)
    return tuple(_with_files(line, depth) if line.option == "include" else line for line in _lines(text, name))


@lru_cache(maxsize=64)
def _lines(text: str, name: str) -> tuple[Line, ...]:
    """Once for a text, not once for a host: who is busy with it hears no server meanwhile."""
    return tuple(lines(text, name))


def _with_files(line: Line, depth: int) -> Line:
    """An Include with what its files say; patterns that match nothing are none."""
    found: list[tuple[Line, ...]] = []
    for pattern in line.words:
        try:
            place = Path("~/.ssh").expanduser() / Path(pattern).expanduser()
            paths = sorted(glob(str(place)))  # noqa: PTH207 - a pattern may be absolute
        except (RuntimeError, ValueError):  # ~user and there is no such user, or a zero byte
            continue
        found += [_read(Path(path), line.where, depth + 1) for path in paths if Path(path).is_file()]
    return line.including(found)

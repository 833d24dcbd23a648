"""Where a gopub.yaml lies, and the text of a file that a team writes; light, since a shell that fills in asks too."""

from __future__ import annotations

from pathlib import Path

from gopub.errors import SpecError, Where
from gopub.spec.reading import MAX_BYTES

FILE = "gopub.yaml"


def find_spec(start: Path) -> Path:
    """The gopub.yaml in ``start`` or in the nearest folder above it.

    Raises:
        SpecError: GP110 there is none.
    """
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / FILE).is_file():
            return folder / FILE
    raise SpecError("GP110", f"no {FILE} here or in a folder above", hint="`gopub init` writes one")


def read_text(path: Path) -> str:
    """The text of a file of at most 1 MB.

    Raises:
        SpecError: GP110 it cannot be read, is too large or is no UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        place = Where(str(path), line)
        raise SpecError("GP110", "the file is not UTF-8", hint="save it as UTF-8", where=place) from None
    except FileNotFoundError:
        hint = "go to its folder, or name it with --file" if path.name == FILE else "mend its name"
        raise SpecError("GP110", "there is no such file", hint=hint, where=Where(str(path))) from None
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        hint = "mend its name or its rights"
        raise SpecError("GP110", f"cannot read the file: {why}", hint=hint, where=Where(str(path))) from None

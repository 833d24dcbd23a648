"""Files that the owner alone may read, written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from gopub.paths import private_file, private_folder


def write_private(path: Path, data: bytes) -> None:
    """Write them in their place at once, also when the power fails; the folder is made where it is missing.

    Raises:
        OSError: They cannot be written; what was there before is there still.
    """
    private_folder(path.parent)
    draft = private_file(path.with_suffix(".part"))
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)

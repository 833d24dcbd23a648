"""Archives whose bytes depend on their content alone: fixed order, owner, mode and time."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

from gopub.build.artifact import LocalFile
from gopub.build.target import Target

_MODE = 0o755
_LEVEL = 6
_ZIP_EPOCH = 315532800  # 1980-01-01: zip knows nothing earlier


def write_archive(binary: Path, *, app: str, target: Target, commit_time: int, output: Path) -> LocalFile:
    """Pack a program as ``bin/<app>`` (``.exe`` for Windows) into a .tar.gz, for Windows a .zip.

    ``commit_time`` (seconds since the epoch) is the time of the entry.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    entry = f"bin/{app}{target.suffix}"
    data = binary.read_bytes()
    packed = _zip(entry, data, commit_time) if target.os == "windows" else _tar_gz(entry, data, commit_time)
    return LocalFile.write(output, packed)


def _tar_gz(entry: str, data: bytes, mtime: int) -> bytes:
    member = tarfile.TarInfo(entry)
    member.size, member.mode, member.mtime = len(data), _MODE, mtime
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(member, io.BytesIO(data))
    return gzip.compress(tar.getvalue(), compresslevel=_LEVEL, mtime=0)


def _zip(entry: str, data: bytes, mtime: int) -> bytes:
    moment = datetime.fromtimestamp(max(mtime, _ZIP_EPOCH), UTC)
    member = zipfile.ZipInfo(entry, moment.timetuple()[:6])
    member.external_attr, member.create_system = (0o100000 | _MODE) << 16, 3
    member.compress_type = zipfile.ZIP_DEFLATED
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(member, data, compresslevel=_LEVEL)
    return packed.getvalue()

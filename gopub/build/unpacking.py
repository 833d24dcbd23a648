"""Whether an archive holds exactly one signed program: read block by block, and no further than what was declared.

An archive is a hostile document until its content has the signed digest. So nothing is unpacked into memory or onto a
disk: the program's bytes are hashed as they come, and reading ends where the signed size does. What
:mod:`gopub.build.archive` never writes (a second member, a link, a sparse file, a header of another kind, bytes after
the end) is refused, for two programs could read it differently.
"""

from __future__ import annotations

import hashlib
import stat
import tarfile
import zipfile
import zlib
from typing import BinaryIO

from gopub.build.artifact import FileRef
from gopub.build.target import Target

_BLOCK = 1 << 18
_HEADER = 512
_PADDING = 1 << 15
"""Zeros that may follow the program in a tar: it ends with two empty blocks and fills up a record of 20."""
_ZIP_OVERHEAD = 1024
"""Bytes of a zip beside the packed program: three headers with one name of at most 60 characters."""
_END, _LOCATOR64 = b"PK\x05\x06", b"PK\x06\x07"


class _Unlike(Exception):  # noqa: N818 - an answer, not an error: it never leaves this module
    """In what an archive differs from the only one that would do; holds no byte of it."""


def unlike_signed(archive: BinaryIO, target: Target, app: str, binary: FileRef) -> str:
    """In what the archive differs from one that holds ``binary`` as ``bin/<app>`` and nothing else; empty: in nothing.

    Reads from the start of a seekable file; at most ``binary.size`` bytes and a few headers are unpacked.
    """
    entry = f"bin/{app}{target.suffix}"
    archive.seek(0)
    try:
        found = _zip(archive, entry, binary) if target.os == "windows" else _tar_gz(archive, entry, binary)
    except _Unlike as unlike:
        return f"the archive of {target.text} {unlike}"
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError):
        return f"the archive of {target.text} cannot be read"
    return "" if found == binary.digest else f"the archive of {target.text} does not hold exactly the signed binary"


class _Unpacked:
    """The bytes of a gzip file with one member, a block at a time."""

    def __init__(self, packed: BinaryIO) -> None:
        self._packed = packed
        self._inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        self._rest = b""

    def read(self, most: int) -> bytes:
        """At most so many bytes; empty at the end of the member, after which nothing may come."""
        while not self._inflate.eof:
            self._rest = self._rest or self._packed.read(_BLOCK)
            if not self._rest:
                raise _Unlike("ends too early")
            out = self._inflate.decompress(self._rest, most)
            self._rest = self._inflate.unconsumed_tail
            if out:
                return out
        if self._inflate.unused_data or self._packed.read(1):
            raise _Unlike("has bytes after its end")
        return b""

    def exactly(self, size: int) -> bytes:
        """So many bytes, of which there are few."""
        data = b""
        while len(data) < size:
            block = self.read(size - len(data))
            if not block:
                raise _Unlike("ends too early")
            data += block
        return data


def _tar_gz(archive: BinaryIO, entry: str, binary: FileRef) -> str:
    unpacked = _Unpacked(archive)
    member = tarfile.TarInfo.frombuf(unpacked.exactly(_HEADER), "utf-8", "surrogateescape")
    if member.type not in {tarfile.REGTYPE, tarfile.AREGTYPE} or member.name != entry:
        raise _Unlike(f"does not begin with the plain file {entry}")
    _same_size(member.size, binary)
    total, left = hashlib.sha256(), binary.size
    while left:
        block = unpacked.read(min(_BLOCK, left))
        if not block:
            raise _Unlike("ends too early")
        total.update(block)
        left -= len(block)
    _only_zeros(unpacked, _PADDING)
    return total.hexdigest()


def _only_zeros(unpacked: _Unpacked, most: int) -> None:
    while block := unpacked.read(_HEADER):
        most -= len(block)
        if most < 0 or block.strip(b"\0"):
            raise _Unlike("does not hold exactly the signed binary: more follows it")


def _zip(archive: BinaryIO, entry: str, binary: FileRef) -> str:
    _one_small_directory(archive)
    with zipfile.ZipFile(archive) as unpacked:
        (member,) = unpacked.infolist()
        mode = member.external_attr >> 16
        plain = member.create_system != 3 or not stat.S_IFMT(mode) or stat.S_ISREG(mode)
        if member.orig_filename != entry or not plain or member.flag_bits & 1:
            raise _Unlike(f"does not begin with the plain file {entry}")
        if member.header_offset or member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise _Unlike("is packed in a way that gopub does not use")
        _same_size(member.file_size, binary)
        if archive.seek(0, 2) - member.compress_size > _ZIP_OVERHEAD:
            raise _Unlike("has bytes beside the packed program")
        total, left = hashlib.sha256(), binary.size
        with unpacked.open(member) as file:
            while block := file.read(_BLOCK):
                left -= len(block)
                if left < 0:
                    raise _Unlike(f"unpacks to more than the {binary.size} bytes that were signed")
                total.update(block)
    return total.hexdigest()


def _one_small_directory(archive: BinaryIO) -> None:
    """The end of a zip says how large its directory is, and zipfile believes it: so it is read here first."""
    size = archive.seek(0, 2)
    archive.seek(max(0, size - 42))
    tail = archive.read(42)
    end = tail[-22:]
    members, length, offset = (int.from_bytes(end[at : at + n], "little") for at, n in ((10, 2), (12, 4), (16, 4)))
    if end[:4] != _END or tail[:4] == _LOCATOR64 or end[20:22] != b"\0\0":
        raise _Unlike("is no plain zip file")
    if members != 1 or length > _ZIP_OVERHEAD or offset + length + 22 != size:
        raise _Unlike("does not hold exactly one file")


def _same_size(size: int, binary: FileRef) -> None:
    if size != binary.size:
        raise _Unlike(f"holds a file of another size than the {binary.size} bytes that were signed")

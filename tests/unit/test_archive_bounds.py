"""An archive is read as far as the signed size says: bombs, and what two readers could see differently, are refused."""

import gzip
import hashlib
import io
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gopub.build.archive import write_archive
from gopub.build.artifact import FileRef
from gopub.build.target import Target
from gopub.build.unpacking import unlike_signed

LINUX, WINDOWS = Target("linux", "amd64"), Target("windows", "amd64")
DATA = b"a program " * 30_000
BINARY = FileRef("hello", hashlib.sha256(DATA).hexdigest(), len(DATA))
MIB = 1 << 20


def member(
    name: str = "bin/hello", size: int = len(DATA), kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    return info


def tar_gz(*members: tuple[tarfile.TarInfo, bytes], how: int = tarfile.USTAR_FORMAT, after: bytes = b"") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=how) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(packed.getvalue() + after)


def zipped(
    *members: tuple[str, bytes], mode: int = 0o100755, comment: bytes = b"", how: int = zipfile.ZIP_DEFLATED
) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", how) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.external_attr, info.create_system, info.compress_type = mode << 16, 3, how
            archive.writestr(info, data)
        archive.comment = comment
    return packed.getvalue()


def with_pax() -> tarfile.TarInfo:
    info = member()
    info.pax_headers = {"comment": "x" * 1000}
    return info


def unlike(data: bytes, target: Target = LINUX, binary: FileRef = BINARY) -> str:
    return unlike_signed(io.BytesIO(data), target, "hello", binary)


@pytest.mark.parametrize("target", [LINUX, WINDOWS])
@pytest.mark.parametrize("size", [0, 1, 511, 512, 10_240, 3_000_000])
def test_what_a_release_packs_is_accepted_and_one_bit_is_not(tmp_path: Path, target: Target, size: int) -> None:
    data = hashlib.shake_256(b"x").digest(size)
    (tmp_path / "hello").write_bytes(data)
    packed = write_archive(tmp_path / "hello", app="hello", target=target, commit_time=0, output=tmp_path / "packed")
    binary = FileRef("hello", hashlib.sha256(data).hexdigest(), size)
    assert unlike(packed.path.read_bytes(), target, binary) == ""
    other = FileRef("hello", hashlib.sha256(b"other").hexdigest(), size)
    assert "does not hold exactly the signed binary" in unlike(packed.path.read_bytes(), target, other)


GOOD = tar_gz((member(), DATA))
TARS: dict[str, bytes] = {
    "cut": GOOD[: len(GOOD) // 2],
    "bytes after the member": GOOD + b"x",
    "a second gzip member": GOOD + gzip.compress(bytes(512)),
    "no gzip": DATA,
    "empty": b"",
    "no tar": gzip.compress(DATA),
    "another name": tar_gz((member("bin/other"), DATA)),
    "absolute": tar_gz((member("/bin/hello"), DATA)),
    "a second file": tar_gz((member(), DATA), (member("bin/more"), DATA)),
    "the same twice": tar_gz((member(), DATA), (member(), DATA)),
    "a link after it": tar_gz((member(), DATA), (member("bin/link", 0, tarfile.SYMTYPE, "/etc/passwd"), b"")),
    "a link instead": tar_gz((member(size=0, kind=tarfile.SYMTYPE, link="/etc/passwd"), b"")),
    "a hard link": tar_gz((member(size=0, kind=tarfile.LNKTYPE, link="/etc/passwd"), b"")),
    "a device": tar_gz((member(size=0, kind=tarfile.CHRTYPE), b"")),
    "a pax header": tar_gz((with_pax(), DATA), how=tarfile.PAX_FORMAT),
    "a long GNU name": tar_gz((member("x" * 300), DATA), how=tarfile.GNU_FORMAT),
    "a sparse file": tar_gz((member(kind=tarfile.GNUTYPE_SPARSE), DATA)),
    "shorter": tar_gz((member(size=10), DATA[:10])),
    "longer": tar_gz((member(size=len(DATA) + 1), DATA + b"x")),
    "zeros without end": tar_gz((member(), DATA), after=bytes(MIB)),
    "a size of 8 GiB": gzip.compress(member(size=(8 << 30) - 1).tobuf(tarfile.USTAR_FORMAT)),
    "a negative size": gzip.compress(member(size=-1).tobuf(tarfile.GNU_FORMAT)),
}
ZIPS: dict[str, bytes] = {
    "cut": zipped(("bin/hello.exe", DATA))[:-1],
    "no zip": DATA,
    "empty": b"",
    "no member": zipped(),
    "another name": zipped(("bin/other.exe", DATA)),
    "a second file": zipped(("bin/hello.exe", DATA), ("more", b"")),
    "a link": zipped(("bin/hello.exe", DATA), mode=0o120777),
    "a comment": zipped(("bin/hello.exe", DATA), comment=b"x" * 1000),
    "bytes before it": b"x" * 1000 + zipped(("bin/hello.exe", DATA)),
    "bytes after it": zipped(("bin/hello.exe", DATA)) + b"x",
    "longer": zipped(("bin/hello.exe", DATA + b"x")),
    "shorter": zipped(("bin/hello.exe", DATA[:-1])),
    "bzip2": zipped(("bin/hello.exe", DATA), how=zipfile.ZIP_BZIP2),
}


@pytest.mark.parametrize("what", TARS)
def test_a_tar_that_is_anything_else_is_refused(what: str) -> None:
    assert unlike(GOOD) == ""  # the control
    assert unlike(TARS[what]).startswith("the archive of linux/amd64 ")


@pytest.mark.parametrize("what", ZIPS)
def test_a_zip_that_is_anything_else_is_refused(what: str) -> None:
    assert unlike(zipped(("bin/hello.exe", DATA)), WINDOWS) == ""  # the control
    assert unlike(ZIPS[what], WINDOWS).startswith("the archive of windows/amd64 ")


def test_a_zip_that_lies_about_its_size_is_stopped() -> None:
    honest = zipped(("bin/hello.exe", bytes(64 * MIB)))
    lie = honest.replace((64 * MIB).to_bytes(4, "little"), len(DATA).to_bytes(4, "little"))
    assert lie != honest
    with peak() as used:
        assert unlike(lie, WINDOWS)
    assert used[0] < 4 * MIB


@contextmanager
def peak() -> Iterator[list[int]]:
    """The most bytes that were in use inside, known afterwards."""
    used: list[int] = []
    tracemalloc.start()
    try:
        yield used
    finally:
        used.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()


def gzip_bomb(size: int, head: bytes) -> bytes:
    """``head`` and then zeros, never whole in memory: 64 MiB become 64 KiB."""
    packing = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    parts = [packing.compress(head)] + [packing.compress(bytes(MIB)) for _ in range(size // MIB)]
    return b"".join([*parts, packing.flush()])


SIZE = 64 * MIB
BOMBS = {
    "a larger program": gzip_bomb(SIZE, member(size=SIZE).tobuf()),
    "zeros after the program": gzip_bomb(SIZE, member().tobuf() + DATA + bytes(-len(DATA) % 512)),
    "a pax header without end": gzip_bomb(SIZE, member("pax", SIZE, tarfile.XHDTYPE).tobuf()),
    "nothing but zeros": gzip_bomb(SIZE, b""),
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_bomb_is_stopped_where_the_signed_size_ends(what: str) -> None:
    bomb = BOMBS[what]
    assert len(bomb) < SIZE // 500
    with peak() as used:
        assert unlike(bomb)
    assert used[0] < 4 * MIB


def test_a_signed_program_of_any_size_needs_the_same_memory() -> None:
    total = hashlib.sha256()
    for _ in range(SIZE // MIB):
        total.update(bytes(MIB))
    big = gzip_bomb(SIZE + 1 * MIB, member(size=SIZE).tobuf())
    with peak() as used:
        found = unlike(big, binary=FileRef("hello", total.hexdigest(), SIZE))
    assert "more follows it" in found  # all of the program was read before
    assert used[0] < 4 * MIB


def test_the_measure_sees_an_archive_that_is_read_whole() -> None:
    """The control: what reads a member at once has it in memory."""
    with peak() as used, tarfile.open(fileobj=io.BytesIO(BOMBS["a larger program"]), mode="r:gz") as archive:
        file = archive.extractfile(archive.getmembers()[0])
        assert file is not None
        file.read()
    assert used[0] > SIZE

"""Unpacking on a host, as the shell does it: no byte goes to the disk past what the order declares."""

import gzip
import hashlib
import io
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from gopub.fleet.templates import Rendered

PROGRAM = Path(__file__).parents[2] / "gopub/fleet/program"
MIB = 1 << 20
HARNESS = """
free_space() { free_bytes=1000000000000 free_inodes=1000000; }
finish() { echo "$2 $3"; exit 1; }
tree=tree
unpack packed "the archive" '' "$1" "$2"
"""


@dataclass(frozen=True)
class Done:
    """What the program said, and the largest file and the sum of all files that it left."""

    said: str
    largest: int
    unpacked: dict[str, int]


def unpack(folder: Path, packed: bytes, *, most: int, more: int = 65536, limits: bool = True) -> Done:
    (folder / "packed").write_bytes(packed)
    (folder / "tree").mkdir()
    text = "".join((PROGRAM / part).read_text() for part in ("base.sh", "stage.sh")) + HARNESS
    if not limits:
        text = "\n".join(line for line in text.splitlines() if line.strip() != "ulimit -f $((($4 + $5 + 511) / 512))")
    shell = shutil.which("dash") or "/bin/sh"
    ran = subprocess.run(
        (shell, "-c", text, "gopub", str(most), str(more)), cwd=folder, capture_output=True, text=True, check=False
    )
    tree = folder / "tree"
    unpacked = {p.relative_to(tree).as_posix(): p.stat().st_size for p in tree.rglob("*") if p.is_file()}
    return Done(ran.stdout.strip(), max(path.stat().st_size for path in folder.rglob("*") if path.is_file()), unpacked)


def tar_gz(*files: tuple[str, bytes], how: int = tarfile.GNU_FORMAT, headers: dict[str, str] | None = None) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", format=how, pax_headers=headers) as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def sparse(size: int) -> bytes:
    """A file with one hole: 512 bytes of it are in the archive, ``size`` is what it becomes."""
    info = tarfile.TarInfo("bin/hello")
    info.size, info.type = 0, tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:398] = b"%011o\0" % size  # one extent: no bytes, at the end
    header[398:410] = b"%011o\0" % 0
    header[483:495] = b"%011o\0" % size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return gzip.compress(bytes(header) + bytes(1024))


PAYLOAD = b"x" * 100_000


def test_what_was_declared_is_unpacked(tmp_path: Path) -> None:
    done = unpack(tmp_path, tar_gz(("bin/hello", PAYLOAD)), most=len(PAYLOAD))
    assert (done.said, done.unpacked) == ("", {"bin/hello": len(PAYLOAD)})


BOMBS = {
    "one file": (tar_gz(("bin/hello", bytes(64 * MIB))), "GP453"),
    "many files": (tar_gz(*((f"bin/{n}", bytes(4 * MIB)) for n in range(16))), "GP453"),
    "zeros after the end": (tar_gz(("bin/hello", PAYLOAD)) + gzip.compress(bytes(64 * MIB)), "GP453"),
    "a header of 64 MiB": (
        tar_gz(("bin/hello", PAYLOAD), how=tarfile.PAX_FORMAT, headers={"comment": "x" * 64 * MIB}),
        "GP453",
    ),
    "one byte more": (tar_gz(("bin/hello", PAYLOAD + b"x")), "GP426"),
    "a hole": (sparse(1 << 30), "GP426"),
    "thousands of empty files": (tar_gz(*((f"bin/{n}", b"") for n in range(3000))), "GP453"),
}


@pytest.mark.parametrize("what", BOMBS)
def test_what_unpacks_to_more_stops_there(tmp_path: Path, what: str) -> None:
    packed, code = BOMBS[what]
    done = unpack(tmp_path, packed, most=len(PAYLOAD))
    assert done.said.startswith(code), done
    assert done.unpacked == {}
    assert done.largest <= max(len(packed), len(PAYLOAD) + 65536 + 512)


def test_without_the_limit_the_disk_takes_it_all(tmp_path: Path) -> None:
    """The control: it is the limit that stops it, and the measure sees it."""
    done = unpack(tmp_path, BOMBS["one file"][0], most=len(PAYLOAD), limits=False)
    assert done.largest > 64 * MIB


@pytest.mark.parametrize("sizes", [(), (0,), (1, 511, 512, 513), (100_000, 9_000), (10_240 - 1536,), (10_240 - 1535,)])
def test_the_tar_of_rendered_files_has_the_size_that_an_order_declares(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    files = {
        f"conf.d/{n}-{'x' * 60}/{'y' * 80}.yaml": hashlib.shake_256(b"x").digest(size) for n, size in enumerate(sizes)
    }
    rendered = Rendered.of(files)
    assert rendered.unpacked() == len(gzip.decompress(rendered.payload()))
    done = unpack(tmp_path, rendered.payload(), most=rendered.unpacked(), more=0)
    assert (done.said, done.unpacked) == ("", {name: len(data) for name, data in files.items()})

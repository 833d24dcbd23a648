"""A release of a store that somebody else can write: nothing is read without an end, and nothing is repeated."""

import gzip
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.build.artifact import FileRef, LocalFile
from gopub.canon import canonical, sha256
from gopub.errors import GopubError, RefusedError
from gopub.evidence import generate
from gopub.evidence.bundle import sign_blob
from gopub.evidence.verifier import KeyVerifier
from gopub.release import Release, SignedRelease, load_release, publish, verify_release
from gopub.release.environments import read_environment
from gopub.release.model import EnvironmentFiles
from gopub.store import blob_key, bundle_key, manifest_key, version_key
from gopub.store.backends.directory import DirectoryStore
from tests.releases import a_plan, prepare

from .test_archive_bounds import gzip_bomb, member, peak

HOSTILE = "root:x:0:0\x1b]0;owned\x07"


class Counting(DirectoryStore):
    """A directory that remembers which keys were read."""

    async def copy(self, key: str, into: object, *, limit: int) -> int:
        read.append(key)
        return await super().copy(key, into, limit=limit)  # type: ignore[arg-type]


read: list[str] = []


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    read.clear()
    return Counting(tmp_path / "store")


@pytest.fixture
async def signed(tmp_path: Path, store: DirectoryStore) -> SignedRelease:
    return await publish(store, await prepare(tmp_path, a_plan(tmp_path)))


@pytest.fixture
def key(tmp_path: Path) -> KeyVerifier:
    return KeyVerifier(generate(tmp_path / "keys").public_key())


@pytest.mark.parametrize("addressed", [True, False])
async def test_who_publishes_reads_no_file_of_another_size(tmp_path: Path, addressed: bool) -> None:
    """Builds can be repeated, so whoever writes the store knows where the next one will be put."""
    folder = DirectoryStore(tmp_path / "store")
    data = b"what is published"
    key = blob_key(sha256(data)) if addressed else version_key("hello", "1.0.0")
    place = folder.root / key
    place.parent.mkdir(parents=True)
    with place.open("wb") as file:
        file.truncate(2 << 40)  # of zeros that take no disk; nobody lives to see its digest
    if addressed:
        await folder.put(key, data, digest=sha256(data))
        assert place.read_bytes() == data
    else:
        with pytest.raises(RefusedError, match="GP323"):
            await folder.put(key, data, digest=sha256(data))
    place.write_bytes(data)  # the control: what is there already is found by its digest
    await folder.put(key, data, digest=sha256(data))


async def test_a_pointer_to_any_file_is_not_read_out_to_its_reader(
    signed: SignedRelease, store: DirectoryStore, key: KeyVerifier
) -> None:
    path = store.root / version_key("hello", "1.0.0")
    for content, code in ((HOSTILE, "GP322"), (HOSTILE * 10, "GP346")):
        path.write_text(content)
        with pytest.raises(RefusedError, match=code) as caught:
            await load_release(store, "hello", "1.0.0", key)
        assert "root" not in str(caught.value)
        assert str(caught.value).replace("\n", "").isprintable()
    path.write_text(signed.release_id)  # the control
    assert await load_release(store, "hello", "1.0.0", key) == signed


@pytest.mark.parametrize("what", [manifest_key, bundle_key])
async def test_a_manifest_and_its_bundle_have_a_size(
    signed: SignedRelease, store: DirectoryStore, what: Callable[[str], str], key: KeyVerifier
) -> None:
    with (store.root / what(signed.release_id)).open("r+b") as file:
        file.truncate(300 << 20)  # of zeros that take no disk
    with pytest.raises(RefusedError, match="GP346"):
        await load_release(store, "hello", "1.0.0", key)


async def test_files_are_read_only_when_their_sizes_are_signed(
    signed: SignedRelease, store: DirectoryStore, key: KeyVerifier, tmp_path: Path
) -> None:
    target = signed.release.targets["linux/amd64"]
    big = replace(target, binary=replace(target.binary, size=3 << 30))
    forged = replace(signed.release, targets={"linux/amd64": big})
    lie = SignedRelease(forged, forged.manifest_bytes(), signed.bundle)
    archive = blob_key(target.archive.digest)
    read.clear()
    report = await verify_release(store, lie, key)
    assert archive not in read
    assert next(check for check in report.checks if check.name == "files").reason.startswith("not read")
    assert not report.accepted
    await verify_release(store, signed, key)
    assert archive in read  # the control
    stranger = KeyVerifier(generate(tmp_path / "stranger").public_key())
    read.clear()
    await verify_release(store, signed, stranger)
    assert archive not in read


async def test_a_signed_bomb_is_read_in_little_memory(
    signed: SignedRelease, store: DirectoryStore, key: KeyVerifier, tmp_path: Path
) -> None:
    """Whoever has the key, or signed without looking: the archive unpacks to a thousand times its size."""
    size = 64 << 20
    bomb = gzip_bomb(size, member(size=size).tobuf())
    ref = FileRef.of("bomb.tar.gz", bomb)
    await store.put(blob_key(ref.digest), bomb, digest=ref.digest)
    target = replace(signed.release.targets["linux/amd64"], archive=ref)
    release = replace(signed.release, targets={"linux/amd64": target})
    manifest = release.manifest_bytes()
    lie = SignedRelease(release, manifest, sign_blob(generate(tmp_path / "keys").signer(), manifest))
    with peak() as used:
        report = await verify_release(store, lie, key)
    reasons = {check.name: check.reason for check in report.checks if not check.passed}
    assert "holds a file of another size" in reasons["archives"]
    assert "files" not in reasons  # its digest is right: it was looked into
    assert used[0] < size // 4
    with peak() as used, tempfile.TemporaryFile() as file:  # the control: all of it in memory is seen
        file.write(gzip.decompress(bomb))
    assert used[0] > size


async def test_a_name_of_the_schema_is_told_and_one_of_the_file_is_not(signed: SignedRelease) -> None:
    def refused(**change: object) -> str:
        value = json.loads(signed.manifest) | change
        with pytest.raises(RefusedError, match="GP322") as caught:
            Release.parse(canonical(value))
        assert "root" not in str(caught.value)
        return str(caught.value)

    assert "$.version: is not what `pattern` allows" in refused(version=HOSTILE)
    assert "$.environments.*: is not of type 'object'" in refused(environments={HOSTILE: 1})
    assert "$: has a property that is not known" in refused(**{HOSTILE: 1})
    assert "newline" in refused(app="hello\n")
    assert "newline" in refused(created=1e300)


def test_an_environment_of_another_gopub_is_told_by_its_place(signed: SignedRelease) -> None:
    files = signed.release.environments["lab"]
    assert read_environment("lab", files).instance == "hello"  # the control
    for change, place in (({"hosts": 5, HOSTILE: 1}, r"hosts|\*"), ({"traffic": {"router": [HOSTILE]}}, "traffic")):
        spec = {**files.spec, **change}
        with pytest.raises(RefusedError, match=rf"GP351 .*({place})") as caught:
            read_environment("lab", EnvironmentFiles(spec, {}, None))
        assert "root" not in str(caught.value)


async def test_what_nobody_could_read_is_not_published(tmp_path: Path, store: DirectoryStore) -> None:
    prepared = await prepare(tmp_path, a_plan(tmp_path))
    path = tmp_path / "large.json"
    path.write_bytes(b" " * ((4 << 20) + 1))
    large = LocalFile(FileRef("release.json", sha256(path.read_bytes()), path.stat().st_size), path)
    with pytest.raises(GopubError, match=r"GP349 .*4194304"):
        await publish(store, replace(prepared, manifest=large))
    assert await store.list("") == []

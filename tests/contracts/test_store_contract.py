"""What every store promises, asked of every store there is; S3 by a real MinIO server."""

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import urllib3

from gopub.build.artifact import FileRef
from gopub.errors import GopubError, RefusedError, UsageError
from gopub.evidence import generate
from gopub.release import load_release, publish, verify_release
from gopub.spec.kinds import Directory
from gopub.store import ArtifactStore, blob_key, fetch, find, open_store, version_key
from gopub.store.backends.s3 import S3Store
from tests.minio_server import Minio, minio_server
from tests.releases import a_plan, prepare


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


NO_KEYS = ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.b", ".a", "a b", "a\n", "a/" * 8 + "a"]


async def ask(url: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    answer = await asyncio.to_thread(urllib3.request, method, url, body=body)
    return answer.status, answer.data


class StoreContract:
    """The suite; a subclass gives ``store`` and ``damage``, which spoils a stored object behind its back."""

    async def test_what_is_put_can_be_got(self, store: ArtifactStore) -> None:
        data = os.urandom(100_000)
        await store.put(blob_key(digest_of(data)), data, digest=digest_of(data))
        assert await store.get(blob_key(digest_of(data))) == data

    async def test_a_file_can_be_put(self, store: ArtifactStore, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(os.urandom(7_000_000))
        digest = digest_of(path.read_bytes())
        await store.put(blob_key(digest), path, digest=digest)
        assert await fetch(store, FileRef("x", digest, 7_000_000)) == path.read_bytes()

    async def test_an_empty_object_is_an_object(self, store: ArtifactStore) -> None:
        await store.put("apps/hello/0", b"", digest=digest_of(b""))
        assert await store.get("apps/hello/0") == b""

    async def test_a_second_put_of_the_same_changes_nothing(self, store: ArtifactStore) -> None:
        for _ in range(2):
            await store.put("apps/hello/1.0.0", b"id", digest=digest_of(b"id"))
        assert await store.get("apps/hello/1.0.0") == b"id"

    async def test_a_key_never_changes_what_it_holds(self, store: ArtifactStore) -> None:
        await store.put("apps/hello/1.0.0", b"id", digest=digest_of(b"id"))
        with pytest.raises(RefusedError, match="GP323"):
            await store.put("apps/hello/1.0.0", b"other", digest=digest_of(b"other"))
        assert await store.get("apps/hello/1.0.0") == b"id"

    async def test_of_many_writers_at_once_exactly_one_wins(self, store: ArtifactStore) -> None:
        values = [f"id-{number}".encode() for number in range(8)]
        puts = (store.put("apps/hello/1.0.0", value, digest=digest_of(value)) for value in values)
        outcomes = await asyncio.gather(*puts, return_exceptions=True)
        winners = [value for value, outcome in zip(values, outcomes, strict=True) if outcome is None]
        assert winners == [await store.get("apps/hello/1.0.0")]
        losers = [outcome for outcome in outcomes if outcome is not None]
        assert all(isinstance(outcome, RefusedError) and outcome.code == "GP323" for outcome in losers)

    async def test_data_that_is_not_its_digest_is_refused(self, store: ArtifactStore) -> None:
        with pytest.raises(RefusedError, match="GP341"):
            await store.put(blob_key("0" * 64), b"x", digest="0" * 64)
        with pytest.raises(RefusedError, match="GP341"):
            await store.put(blob_key("0" * 64), b"x", digest=digest_of(b"x"))
        assert await store.list("") == []

    async def test_what_is_not_there_is_missing(self, store: ArtifactStore) -> None:
        with pytest.raises(GopubError, match="GP340"):
            await store.get(version_key("hello", "9.9.9"))
        assert await find(store, version_key("hello", "9.9.9")) is None

    async def test_keys_are_listed_by_prefix(self, store: ArtifactStore) -> None:
        for key in ("apps/b/1", "apps/a/2", "apps/a/1"):
            await store.put(key, b"", digest=digest_of(b""))
        assert await store.list("apps/a/") == ["apps/a/1", "apps/a/2"]
        assert await store.list("") == ["apps/a/1", "apps/a/2", "apps/b/1"]
        assert await store.list("none/") == []

    @pytest.mark.parametrize(
        "key", ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.b", ".a", "a b", "a\n", "a/" * 8 + "a"]
    )
    async def test_what_is_no_key_is_refused(self, store: ArtifactStore, key: str) -> None:
        with pytest.raises(UsageError, match="GP344"):
            await store.get(key)
        with pytest.raises(UsageError, match="GP344"):
            await store.put(key, b"", digest=digest_of(b""))

    @pytest.mark.parametrize("how", ["flipped", "truncated", "emptied", "swapped"])
    async def test_damage_is_found_and_mended(
        self, store: ArtifactStore, damage: Callable[[str, bytes], None], how: str
    ) -> None:
        data, other = os.urandom(5000), os.urandom(5000)
        key = blob_key(digest_of(data))
        await store.put(key, data, digest=digest_of(data))
        await store.get(key)  # the control: it was good before
        spoiled = {"flipped": bytes([data[0] ^ 1]) + data[1:], "truncated": data[:-1], "emptied": b"", "swapped": other}
        damage(key, spoiled[how])
        with pytest.raises(RefusedError, match="GP341"):
            await store.get(key)
        await store.put(key, data, digest=digest_of(data))
        assert await store.get(key) == data

    async def test_a_size_that_does_not_fit_is_found(self, store: ArtifactStore) -> None:
        await store.put(blob_key(digest_of(b"data")), b"data", digest=digest_of(b"data"))
        with pytest.raises(RefusedError, match="GP341"):
            await fetch(store, FileRef("x", digest_of(b"data"), 5))

    async def test_an_address_gives_the_bytes_or_there_is_none(self, store: ArtifactStore) -> None:
        await store.put(blob_key(digest_of(b"data")), b"data", digest=digest_of(b"data"))
        url = await store.url(blob_key(digest_of(b"data")), expires=60)
        if url is not None:
            assert await ask(url) == (200, b"data")

    async def test_a_release_goes_in_twice_and_comes_out_verified(self, store: ArtifactStore, tmp_path: Path) -> None:
        prepared = await prepare(tmp_path / "work", a_plan(tmp_path / "work"))
        signed = await publish(store, prepared)
        assert await publish(store, prepared) == signed
        key = generate(tmp_path / "work" / "keys").public_key()
        report = await verify_release(store, await load_release(store, "hello", "1.0.0"), key)
        assert report.accepted, report.checks


class TestDirectoryStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> ArtifactStore:
        return open_store(Directory(path=tmp_path / "store"))

    @pytest.fixture
    def damage(self, tmp_path: Path) -> Callable[[str, bytes], None]:
        return lambda key, data: (tmp_path / "store" / key).write_bytes(data) and None

    async def test_a_killed_writer_leaves_no_object(self, store: ArtifactStore, tmp_path: Path) -> None:
        """What a writer that died leaves lies in the scratch folder, which no key reaches."""
        (tmp_path / "store" / ".incoming").mkdir(parents=True)
        (tmp_path / "store" / ".incoming" / "half").write_bytes(b"half")
        assert await store.list("") == []
        with pytest.raises(UsageError, match="GP344"):
            await store.get(".incoming/half")

    async def test_a_folder_that_cannot_be_written_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("not a folder")
        store = open_store(Directory(path=tmp_path / "file"))
        with pytest.raises(GopubError, match="GP342"):
            await store.put("apps/a/1", b"", digest=digest_of(b""))


@pytest.fixture(scope="module")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    with minio_server(tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.mark.s3
class TestS3Store(StoreContract):
    @pytest.fixture
    async def store(self, minio: Minio) -> AsyncIterator[S3Store]:
        store = S3Store.open(minio.connection(f"test-{secrets.token_hex(8)}"))
        await store.prepare()
        yield store
        store.pool.clear()

    @pytest.fixture
    def damage(self, store: S3Store) -> Callable[[str, bytes], None]:
        return store._upload

    async def test_a_presigned_address_is_for_one_object_and_one_method(self, store: S3Store) -> None:
        await store.put("apps/a/1", b"one", digest=digest_of(b"one"))
        await store.put("apps/a/2", b"two", digest=digest_of(b"two"))
        url = await store.url("apps/a/1", expires=60) or ""
        assert await ask(url) == (200, b"one")
        assert (await ask(url.replace("/a/1?", "/a/2?")))[0] == 403
        assert (await ask(url, "PUT", b"x"))[0] == 403
        assert (await ask(url.split("?")[0]))[0] == 403

    async def test_a_presigned_address_lapses(self, store: S3Store) -> None:
        await store.put("apps/a/1", b"one", digest=digest_of(b"one"))
        url = await store.url("apps/a/1", expires=1) or ""
        await asyncio.sleep(2.1)
        assert (await ask(url))[0] == 403

    async def test_hosts_are_given_the_public_endpoint(self, minio: Minio, store: S3Store) -> None:
        port = minio.endpoint.rpartition(":")[2]
        public = S3Store.open(minio.connection(store.bucket, public_endpoint=f"localhost:{port}"))
        await store.put("apps/a/1", b"one", digest=digest_of(b"one"))
        url = await public.url("apps/a/1", expires=60) or ""
        assert url.startswith(f"http://localhost:{port}/")
        assert await ask(url) == (200, b"one")
        public.pool.clear()

    async def test_a_missing_bucket_is_told(self, minio: Minio) -> None:
        store = S3Store.open(minio.connection("no-such-bucket"))
        with pytest.raises(GopubError, match=r"GP342 .*NoSuchBucket"):
            await store.put("apps/a/1", b"", digest=digest_of(b""))
        store.pool.clear()

    async def test_wrong_keys_are_told_without_the_keys(self, minio: Minio, tmp_path: Path) -> None:
        (tmp_path / "wrong").write_text("wrong-secret-key")
        store = S3Store.open(minio.connection("any-bucket", secret_key={"file": str(tmp_path / "wrong")}))
        with pytest.raises(GopubError, match=r"GP342 .*SignatureDoesNotMatch") as caught:
            await store.get("apps/a/1")
        assert "wrong-secret-key" not in str(caught.value)
        store.pool.clear()

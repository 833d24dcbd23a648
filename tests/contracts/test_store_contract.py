"""What every store promises, asked of every store there is; S3 by a real MinIO server."""

import asyncio
import gzip
import hashlib
import io
import os
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import urllib3

from gopub.build.artifact import FileRef
from gopub.errors import GopubError, RefusedError, UsageError
from gopub.evidence import generate
from gopub.evidence.verifier import KeyVerifier
from gopub.release import load_release, publish, verify_release
from gopub.store import ArtifactStore, blob_key, fetch, find, save, version_key
from gopub.store.backends.directory import Directory
from gopub.store.backends.s3 import S3Store
from tests.minio_server import Minio, minio_server
from tests.releases import a_plan, prepare


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


MANY = 1 << 20
NO_KEYS = ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.b", ".a", "a b", "a\n", "a/" * 8 + "a"]


async def ask(url: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    answer = await asyncio.to_thread(urllib3.request, method, url, body=body)
    return answer.status, answer.data


@contextmanager
def lying_server(length: int | None) -> Iterator[tuple[str, list[int]]]:
    """Answers every request with zeros for as long as anybody reads, and names that length."""
    sent: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            if length is not None:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            with suppress(OSError):
                while len(sent) < 1000:
                    sent.append(self.wfile.write(bytes(1 << 20)))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}", sent
        server.shutdown()


class StoreContract:
    """The suite; a subclass gives ``store`` and ``damage``, which spoils a stored object behind its back."""

    async def test_what_is_put_can_be_got(self, store: ArtifactStore) -> None:
        data = os.urandom(100_000)
        await store.put(blob_key(digest_of(data)), data, digest=digest_of(data))
        assert await store.get(blob_key(digest_of(data)), limit=MANY) == data

    async def test_a_file_can_be_put(self, store: ArtifactStore, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(os.urandom(7_000_000))
        digest = digest_of(path.read_bytes())
        await store.put(blob_key(digest), path, digest=digest)
        assert await fetch(store, FileRef("x", digest, 7_000_000)) == path.read_bytes()

    async def test_an_empty_object_is_an_object(self, store: ArtifactStore) -> None:
        await store.put("apps/hello/0", b"", digest=digest_of(b""))
        assert await store.get("apps/hello/0", limit=MANY) == b""

    async def test_a_second_put_of_the_same_changes_nothing(self, store: ArtifactStore) -> None:
        for _ in range(2):
            await store.put("apps/hello/1.0.0", b"id", digest=digest_of(b"id"))
        assert await store.get("apps/hello/1.0.0", limit=MANY) == b"id"

    async def test_a_key_never_changes_what_it_holds(self, store: ArtifactStore) -> None:
        await store.put("apps/hello/1.0.0", b"id", digest=digest_of(b"id"))
        with pytest.raises(RefusedError, match="GP323"):
            await store.put("apps/hello/1.0.0", b"other", digest=digest_of(b"other"))
        assert await store.get("apps/hello/1.0.0", limit=MANY) == b"id"

    async def test_of_many_writers_at_once_exactly_one_wins(self, store: ArtifactStore) -> None:
        values = [f"id-{number}".encode() for number in range(8)]
        puts = (store.put("apps/hello/1.0.0", value, digest=digest_of(value)) for value in values)
        outcomes = await asyncio.gather(*puts, return_exceptions=True)
        winners = [value for value, outcome in zip(values, outcomes, strict=True) if outcome is None]
        assert winners == [await store.get("apps/hello/1.0.0", limit=MANY)]
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
            await store.get(version_key("hello", "9.9.9"), limit=MANY)
        assert await find(store, version_key("hello", "9.9.9"), limit=MANY) is None

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
            await store.get(key, limit=MANY)
        with pytest.raises(UsageError, match="GP344"):
            await store.put(key, b"", digest=digest_of(b""))

    @pytest.mark.parametrize("how", ["flipped", "truncated", "emptied", "swapped"])
    async def test_damage_is_found_and_mended(
        self, store: ArtifactStore, damage: Callable[[str, bytes], None], how: str
    ) -> None:
        data, other = os.urandom(5000), os.urandom(5000)
        key = blob_key(digest_of(data))
        await store.put(key, data, digest=digest_of(data))
        await store.get(key, limit=MANY)  # the control: it was good before
        spoiled = {"flipped": bytes([data[0] ^ 1]) + data[1:], "truncated": data[:-1], "emptied": b"", "swapped": other}
        damage(key, spoiled[how])
        with pytest.raises(RefusedError, match="GP341"):
            await store.get(key, limit=MANY)
        await store.put(key, data, digest=digest_of(data))
        assert await store.get(key, limit=MANY) == data

    async def test_a_size_that_does_not_fit_is_found(self, store: ArtifactStore) -> None:
        await store.put(blob_key(digest_of(b"data")), b"data", digest=digest_of(b"data"))
        with pytest.raises(RefusedError, match="GP341"):
            await fetch(store, FileRef("x", digest_of(b"data"), 5))

    async def test_no_more_is_read_than_was_asked_for(self, store: ArtifactStore) -> None:
        data = os.urandom(3_000_000)
        for key in (blob_key(digest_of(data)), "apps/hello/1.0.0"):
            await store.put(key, data, digest=digest_of(data))
            assert await store.get(key, limit=len(data)) == data  # the control: one byte fewer is too few
            for limit in (len(data) - 1, 64, 0):
                taken = io.BytesIO()
                with pytest.raises(RefusedError, match=rf"GP346 .* {limit} bytes"):
                    await store.copy(key, taken, limit=limit)
                assert len(taken.getvalue()) <= limit
        with pytest.raises(RefusedError, match=r"GP341 .*more than 10 bytes, not 10 bytes"):
            await fetch(store, FileRef("x", digest_of(data), 10))
        with pytest.raises(RefusedError, match=r"GP346 x .* 2999999 bytes"):
            await fetch(store, FileRef("x", digest_of(data), len(data)), most=len(data) - 1)

    async def test_a_file_is_copied_and_counted(self, store: ArtifactStore, tmp_path: Path) -> None:
        data = os.urandom(3_000_000)
        await store.put(blob_key(digest_of(data)), data, digest=digest_of(data))
        with (tmp_path / "copy").open("wb") as file:
            await save(store, FileRef("x", digest_of(data), len(data)), file)
        assert (tmp_path / "copy").read_bytes() == data

    async def test_a_listing_ends(self, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in ("protocol", "backends.directory", "backends.s3"):
            monkeypatch.setattr(f"gopub.store.{module}.MAX_KEYS", 3)
        for number in range(4):
            await store.put(f"apps/a/{number}", b"", digest=digest_of(b""))
        with pytest.raises(RefusedError, match="GP347"):
            await store.list("apps/")
        assert await store.list("apps/a/1") == ["apps/a/1"]  # the control: it is the listing that is too long

    async def test_an_address_gives_the_bytes_or_there_is_none(self, store: ArtifactStore) -> None:
        await store.put(blob_key(digest_of(b"data")), b"data", digest=digest_of(b"data"))
        url = await store.url(blob_key(digest_of(b"data")), expires=60)
        if url is not None:
            assert await ask(url) == (200, b"data")

    async def test_a_release_goes_in_twice_and_comes_out_verified(self, store: ArtifactStore, tmp_path: Path) -> None:
        prepared = await prepare(tmp_path / "work", a_plan(tmp_path / "work"))
        signed = await publish(store, prepared)
        assert await publish(store, prepared) == signed
        key = KeyVerifier(generate(tmp_path / "work" / "keys").public_key())
        report = await verify_release(store, await load_release(store, "hello", "1.0.0", key), key)
        assert report.accepted, report.checks


class TestDirectoryStore(StoreContract):
    KIND = "directory"

    @pytest.fixture
    def store(self, tmp_path: Path) -> ArtifactStore:
        return Directory(path=tmp_path / "store").open()

    @pytest.fixture
    def damage(self, tmp_path: Path) -> Callable[[str, bytes], None]:
        return lambda key, data: (tmp_path / "store" / key).write_bytes(data) and None

    async def test_a_killed_writer_leaves_no_object(self, store: ArtifactStore, tmp_path: Path) -> None:
        """What a writer that died leaves lies in the scratch folder, which no key reaches."""
        (tmp_path / "store" / ".incoming").mkdir(parents=True)
        (tmp_path / "store" / ".incoming" / "half").write_bytes(b"half")
        assert await store.list("") == []
        with pytest.raises(UsageError, match="GP344"):
            await store.get(".incoming/half", limit=MANY)

    @pytest.mark.parametrize("what", ["link", "link to a pipe", "pipe", "folder", "socket", "device"])
    async def test_only_regular_files_are_read(self, store: ArtifactStore, tmp_path: Path, what: str) -> None:
        await store.put("apps/a/1", b"one", digest=digest_of(b"one"))
        outside, path = tmp_path / "outside", tmp_path / "store/apps/a/2"
        outside.write_bytes(b"one")
        with socket.socket(socket.AF_UNIX) as listening:
            match what:
                case "link":
                    path.symlink_to(outside)
                case "link to a pipe":
                    os.mkfifo(tmp_path / "pipe")
                    path.symlink_to(tmp_path / "pipe")
                case "pipe":
                    os.mkfifo(path)
                case "folder":
                    path.mkdir()
                case "socket":
                    listening.bind(str(path))
                case _:
                    path.symlink_to("/dev/zero")
            with pytest.raises(RefusedError, match="GP345"):
                await asyncio.wait_for(store.get("apps/a/2", limit=MANY), 30)
            with pytest.raises(RefusedError, match="GP345"):
                await store.put("apps/a/2", b"one", digest=digest_of(b"one"))
        assert await store.list("apps/") == ["apps/a/1"]
        assert await store.get("apps/a/1", limit=MANY) == b"one"  # the control

    @pytest.mark.parametrize("where", ["apps", "apps/a", ".incoming"])
    async def test_no_link_leads_out_of_the_store(self, store: ArtifactStore, tmp_path: Path, where: str) -> None:
        outside, link = tmp_path / "outside", tmp_path / "store" / where
        (outside / "a").mkdir(parents=True)
        (outside / "1").write_bytes(b"secret")
        (outside / "a/1").write_bytes(b"secret")
        link.parent.mkdir(parents=True)
        link.symlink_to(outside)
        if where != ".incoming":
            with pytest.raises(RefusedError, match="GP345"):
                await store.get("apps/a/1", limit=MANY)
        with pytest.raises(RefusedError, match="GP345"):
            await store.put("apps/a/2", b"x", digest=digest_of(b"x"))
        assert await store.list("") == []
        assert sorted(path.name for path in outside.rglob("*")) == ["1", "1", "a"]

    async def test_the_folder_itself_may_be_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "disk").mkdir()
        (tmp_path / "store").symlink_to(tmp_path / "disk")
        store = Directory(path=tmp_path / "store").open()
        await store.put("apps/a/1", b"one", digest=digest_of(b"one"))
        assert (await store.get("apps/a/1", limit=3), await store.list("")) == (b"one", ["apps/a/1"])

    async def test_a_folder_that_cannot_be_written_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("not a folder")
        store = Directory(path=tmp_path / "file").open()
        with pytest.raises(GopubError, match="GP342"):
            await store.put("apps/a/1", b"", digest=digest_of(b""))


@pytest.fixture(scope="module")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    with minio_server(tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.mark.s3
class TestS3Store(StoreContract):
    KIND = "s3"

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

    async def test_what_calls_itself_packed_is_not_unpacked(self, store: S3Store) -> None:
        """An object bears headers that whoever put it chose: one of them would unpack it on its way."""
        bomb = gzip.compress(bytes(10_000_000))
        headers = {"Content-Encoding": "gzip"}
        await asyncio.to_thread(
            store.client.put_object, store.bucket, "apps/a/1", io.BytesIO(bomb), len(bomb), metadata=dict(headers)
        )
        assert await store.get("apps/a/1", limit=len(bomb)) == bomb
        url = await store.url("apps/a/1", expires=60) or ""
        assert (await ask(url))[1] == bytes(10_000_000)  # the control: a client that believes the header

    @pytest.mark.parametrize("said", [None, 5, 1 << 40])
    async def test_bytes_are_counted_whatever_length_the_server_names(self, minio: Minio, said: int | None) -> None:
        with lying_server(said) as (endpoint, sent):
            connection = minio.connection("bucket", endpoint=endpoint, region="us-east-1")
            store = S3Store.open(connection)
            try:
                answer = await store.get("apps/a/1", limit=100_000)
            except GopubError as error:
                assert error.code in {"GP346", "GP342"}  # noqa: PT017 - with a length of 5 it has 5 bytes
            else:
                assert (said, len(answer)) == (5, 5)
            store.pool.clear()
        assert sum(sent) < 64 << 20  # the server would have gone on

    async def test_wrong_keys_are_told_without_the_keys(self, minio: Minio, tmp_path: Path) -> None:
        (tmp_path / "wrong").write_text("wrong-secret-key")
        store = S3Store.open(minio.connection("any-bucket", secret_key={"file": str(tmp_path / "wrong")}))
        with pytest.raises(GopubError, match=r"GP342 .*SignatureDoesNotMatch") as caught:
            await store.get("apps/a/1", limit=MANY)
        assert "wrong-secret-key" not in str(caught.value)
        store.pool.clear()

"""An S3 store behind TLS by an authority of the tests' own: a real MinIO, and servers that are ill on purpose."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gopub import connecting
from gopub.errors import GopubError, UsageError
from gopub.spec.kinds import SecretRef
from gopub.store import blob_key
from gopub.store.backends.s3 import S3
from tests.contracts.tls_server import HERE, Authority, serving
from tests.minio_server import Minio, minio_server
from tests.support.ports import free_port

DATA = b"the bytes of a release"
KEY = blob_key(hashlib.sha256(DATA).hexdigest())


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certs")
    certificate, key = Authority.new(folder).sign(HERE)
    certificate.rename(folder / "public.crt")
    key.rename(folder / "private.key")
    return folder


@pytest.fixture(scope="module")
def minio(tmp_path_factory: pytest.TempPathFactory, certs: Path) -> Iterator[Minio]:
    with minio_server(tmp_path_factory.mktemp("minio"), certs=certs) as server:
        yield server


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.new(tmp_path)


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPUB_TEST_ACCESS", "access-of-the-tests")
    monkeypatch.setenv("GOPUB_TEST_SECRET", "secret-of-the-tests")


async def refusal(port: int, **more: object) -> GopubError:
    """How reading from a server fails."""
    keys = {"access_key": SecretRef(env="GOPUB_TEST_ACCESS"), "secret_key": SecretRef(env="GOPUB_TEST_SECRET")}
    given = {"endpoint": f"{HERE}:{port}", "bucket": "releases", "region": "us-east-1", **keys, **more}
    with pytest.raises(GopubError) as caught:
        await S3.model_validate(given).open().get(KEY, limit=100)
    assert caught.value.code == "GP342"
    assert "secret-of-the-tests" not in str(caught.value)
    return caught.value


async def test_a_bucket_behind_a_private_authority_is_used_with_its_file(minio: Minio, certs: Path) -> None:
    store = minio.connection("releases", secure=True, ca=certs / "ca.pem").open()
    await store.prepare()
    await store.put(KEY, DATA, digest=hashlib.sha256(DATA).hexdigest())
    assert await store.get(KEY, limit=100) == DATA
    assert await store.list("") == [KEY]


async def test_control_without_the_file_it_is_not(minio: Minio) -> None:
    with pytest.raises(GopubError, match=connecting.UNKNOWN_CA) as caught:
        await minio.connection("releases", secure=True, region="us-east-1").open().get(KEY, limit=100)
    assert caught.value.code == "GP342"
    assert "`ca: FILE.pem` in the connection" in caught.value.hint


async def test_plain_http_to_it_is_told_as_such(minio: Minio) -> None:
    with pytest.raises(GopubError, match=connecting.WANTS_TLS) as caught:
        await minio.connection("releases", region="us-east-1").open().get(KEY, limit=100)
    assert "`secure: true`" in caught.value.hint


async def test_expired_and_other_names(authority: Authority) -> None:
    with serving(authority.sign(HERE, since=-2, until=-1)) as server:
        assert connecting.EXPIRED in (await refusal(server.port, ca=authority.ca)).problem
    with serving(authority.sign("s3.corp")) as server:
        error = await refusal(server.port, ca=authority.ca)
        assert connecting.OTHER_NAMES in error.problem
        assert "a name that it has" in error.hint


async def test_plain_http_where_tls_was_asked_for(authority: Authority) -> None:
    with serving(None) as server:
        error = await refusal(server.port, ca=authority.ca)
        assert connecting.NO_TLS in error.problem
        assert "`secure: false`" in error.hint


async def test_refused_and_no_route(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    assert connecting.REFUSED in (await refusal(free_port(), ca=authority.ca)).problem

    def no_route(*_: object, **__: object) -> None:
        raise OSError(113, "No route to host")

    monkeypatch.setattr(socket.socket, "connect", no_route)
    assert connecting.NO_ROUTE in (await refusal(9, ca=authority.ca)).problem


async def test_keys_that_are_refused_say_which(minio: Minio, certs: Path) -> None:
    port, ca = int(minio.endpoint.rpartition(":")[2]), certs / "ca.pem"
    error = await refusal(port, ca=ca)
    assert "it answers 403" in error.problem
    assert "InvalidAccessKeyId" in error.problem
    assert "does not know the first" in error.hint
    error = await refusal(port, ca=ca, access_key=SecretRef(file=minio.access_key))
    assert "SignatureDoesNotMatch" in error.problem
    assert "does not fit the first" in error.hint


async def test_a_login_in_front_of_it_is_told_by_its_code() -> None:
    with serving(None, lambda _path, _headers: (401, {}, b"who are you?")) as server:
        assert "it answers 401" in (await refusal(server.port, secure=False)).problem


def test_a_ca_file_without_a_certificate_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no PEM")
    keys = {"access_key": SecretRef(env="GOPUB_TEST_ACCESS"), "secret_key": SecretRef(env="GOPUB_TEST_SECRET")}
    with pytest.raises(UsageError, match="holds no certificate") as caught:
        S3.model_validate({"endpoint": "s3.corp", "bucket": "b", "ca": tmp_path / "ca.pem", **keys}).open()
    assert caught.value.code == "GP145"

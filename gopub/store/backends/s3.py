"""A store in an S3 bucket, by plain S3 calls of the minio client; every call has time limits and few retries."""

from __future__ import annotations

import asyncio
import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit
from urllib.request import getproxies, proxy_bypass
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, MinioException, S3Error

from gopub.canon import bounded
from gopub.connecting import Trouble, Words, authorities, denied, trouble, wants_tls
from gopub.errors import GopubError
from gopub.spec.fields import Switch, Word
from gopub.spec.kinds import LocalPath, SecretRef
from gopub.spec.texts import Endpoint
from gopub.store.keys import check_key, digest_in, is_key
from gopub.store.protocol import (
    MAX_KEYS,
    Sink,
    StoreConnection,
    check_given,
    drain,
    missing,
    taken,
    too_many,
    unlike,
)
from gopub.telemetry import REDACTOR

CONNECT_SECONDS, READ_SECONDS = 5.0, 60.0
LONGEST_URL = timedelta(days=7)
_RETRIES = urllib3.Retry(total=3, backoff_factor=0.3, backoff_jitter=0.3, status_forcelist=(500, 502, 503, 504))
_ABSENT = frozenset({"NoSuchKey", "NoSuchObject"})
_BLOCK = 1 << 20
MOST_SAID = 8 << 20
"""Bytes of an answer that is no object; a thousand names of a list are about one MB."""
_KEYS = "access_key and secret_key of the connection"
_DENIED = {
    "AccessDenied": f"give the account of {_KEYS} the right to read and write this bucket",
    "InvalidAccessKeyId": f"check {_KEYS}: the server does not know the first",
    "SignatureDoesNotMatch": f"check {_KEYS}: the second does not fit the first",
}
_NO_XML = Trouble(
    "its answer is not what S3 answers (a login page?)",
    "is it the address of S3 itself, and does no proxy in between answer in its place?",
)
_STATUS = re.compile(r"Response code: (\d{3})")
_WORDS = Words(
    ca="`ca: FILE.pem` in the connection",
    plain="write `secure: false`, or make the server speak TLS",
    tls="write `secure: true`",
)


class S3(StoreConnection):
    """An artifact store in an S3 bucket."""

    kind: Literal["s3"] = "s3"
    endpoint: Endpoint
    """Host, and port where it is not the usual one."""
    bucket: Word
    """The bucket."""
    access_key: SecretRef = SecretRef(env="AWS_ACCESS_KEY_ID")
    """The access key."""
    secret_key: SecretRef = SecretRef(env="AWS_SECRET_ACCESS_KEY")
    """The secret key."""
    region: Word | None = None
    """The region; asked of the server where it is left out."""
    secure: Switch = True
    """TLS."""
    ca: LocalPath | None = None
    """The certificate of the authority that signed the server's (PEM), where it is a private one."""
    public_endpoint: Endpoint | None = None
    """The endpoint as the hosts see it, where that is another one."""

    def open(self) -> S3Store:
        """The store in the bucket; ``prepare`` makes that one.

        Raises:
            UsageError: GP142 a key is not there, GP145 the CA file holds no certificate.
        """
        return S3Store.open(self)


@dataclass(frozen=True, slots=True)
class S3Store:
    """Keeps objects in ``bucket``; ``connection`` says where, ``client`` speaks to it."""

    bucket: str
    client: Minio
    pool: urllib3.PoolManager
    connection: S3

    @classmethod
    def open(cls, connection: S3) -> Self:
        """Take keys and addresses from a connection; nothing is contacted yet."""
        pool = _pool(connection.endpoint, secure=connection.secure, ca=connection.ca)
        return cls(
            connection.bucket, _client(connection, connection.endpoint, connection.region, pool), pool, connection
        )

    async def prepare(self) -> None:
        """Make the bucket if there is none: for set-up and tests; a release never does it.

        Raises:
            GopubError: GP342.
        """
        await asyncio.to_thread(self._prepare)

    async def put(self, key: str, data: bytes | Path, *, digest: str) -> None:
        """Upload, read back, compare; a key whose content it does not fix is created only where there is none."""
        await asyncio.to_thread(self._put, key, data, digest)

    async def get(self, key: str, *, limit: int) -> bytes:
        """Download the object."""
        data = io.BytesIO()
        await self.copy(key, data, limit=limit)
        return data.getvalue()

    async def copy(self, key: str, into: Sink, *, limit: int) -> int:
        """Download into a file; the bytes that come are counted, whatever length the server names."""
        return await asyncio.to_thread(self._copy, key, into, limit)

    async def url(self, key: str, *, expires: float) -> str | None:
        """A presigned address on the public endpoint, where there is one."""
        return await asyncio.to_thread(self._url, key, expires)

    async def list(self, prefix: str) -> list[str]:
        """Ask the bucket."""
        return sorted(await asyncio.to_thread(self._names, prefix))

    def _prepare(self) -> None:
        with self._answers():
            if not self.client.bucket_exists(self.bucket):
                self.client.make_bucket(self.bucket)

    def _put(self, key: str, data: bytes | Path, digest: str) -> None:
        check_key(key)
        check_given(key, data, digest)
        addressed = digest_in(key) is not None
        size = len(data) if isinstance(data, bytes) else data.stat().st_size
        found = self._digest(key, size)
        if found == digest:
            return
        if found is not None and not addressed:
            raise taken(key)
        if addressed:
            self._upload(key, data)
        else:
            self._create(key, data if isinstance(data, bytes) else data.read_bytes())
        if self._digest(key, size) != digest:
            raise unlike(key) if addressed else taken(key)

    def _upload(self, key: str, data: bytes | Path) -> None:
        with self._answers():
            if isinstance(data, Path):
                self.client.fput_object(self.bucket, key, str(data))
            else:
                self.client.put_object(self.bucket, key, io.BytesIO(data), len(data))

    def _create(self, key: str, data: bytes) -> None:
        """Create the object unless there is one: of two writers the first one wins.

        The minio client cannot send the condition itself. A server that does not know it overwrites; then the
        comparison before and after remains.
        """
        with self._answers():
            url = self.client.get_presigned_url("PUT", self.bucket, key, expires=timedelta(minutes=5))
            answer = self.pool.request("PUT", url, body=data, headers={"If-None-Match": "*"}, retries=_RETRIES)
        if answer.status not in {200, 409, 412}:
            said = wants_tls(answer.status, answer.data, _WORDS) or denied(answer.status, _KEYS)
            raise _refused(self.connection, said or f"status {answer.status} for {key}")

    def _copy(self, key: str, into: Sink, limit: int) -> int:
        return drain(key, self._blocks(key), into, limit)

    def _digest(self, key: str, size: int) -> str | None:
        """What is there; no more than ``size`` bytes are read of it, and what has more has no digest: empty."""
        total, seen = hashlib.sha256(), 0
        try:
            for block in self._blocks(key):
                total.update(block)
                seen += len(block)
                if seen > size:
                    return ""
        except GopubError as error:
            if error.code == missing(key).code:
                return None
            raise
        return total.hexdigest()

    def _blocks(self, key: str) -> Iterator[bytes]:
        check_key(key)
        with self._answers(key):
            answer = self.client.get_object(self.bucket, key)
            try:
                # Not decoded: an object that calls itself gzip would unpack here, before anybody counts.
                while block := answer.read(_BLOCK, decode_content=False):
                    yield block
            finally:
                answer.close()
                answer.release_conn()

    def _url(self, key: str, expires: float) -> str:
        check_key(key)
        limit = min(timedelta(seconds=max(1.0, expires)), LONGEST_URL)
        public = self.connection.public_endpoint
        with self._answers():
            url = str(self.client.presigned_get_object(self.bucket, key, expires=limit))
            if public is None:
                return url
            # The region is in the signature; it must not be asked of an address that only the hosts can reach.
            region = parse_qs(urlsplit(url).query)["X-Amz-Credential"][0].split("/")[2]
            outside = _client(self.connection, public, region, self.pool)
            return str(outside.presigned_get_object(self.bucket, key, expires=limit))

    def _names(self, prefix: str) -> set[str]:
        with self._answers():
            listed = self.client.list_objects(self.bucket, prefix=prefix, recursive=True)
            found = [str(entry.object_name) for entry in islice(listed, MAX_KEYS + 1)]
        if len(found) > MAX_KEYS:
            raise too_many(prefix)
        return {key for key in found if is_key(key)}

    @contextmanager
    def _answers(self, key: str = "") -> Iterator[None]:
        try:
            yield
        except S3Error as error:
            if error.code in _ABSENT:
                raise missing(key) from None
            raise _refused(self.connection, _answered(error) or _repeated(f"{error.code}: {error.message}")) from error
        except InvalidResponseError as error:
            # The server is none of S3: it may be one that answers plain HTTP on a port for TLS.
            raise _refused(self.connection, _no_s3(error)) from error
        except ParseError as error:
            raise _refused(self.connection, _NO_XML) from error
        except (MinioException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _refused(self.connection, trouble(error, _WORDS) or _repeated(str(error))) from error


def _client(connection: S3, endpoint: str, region: str | None, pool: urllib3.PoolManager) -> Minio:
    return Minio(
        endpoint,
        access_key=connection.access_key.reveal(),
        secret_key=connection.secret_key.reveal(),
        secure=connection.secure,
        region=region,
        http_client=pool,
    )


class _Bounded(urllib3.PoolManager):
    """Reads no answer without an end but objects, which whoever reads them counts."""

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = True, *, preload_content: bool = True, **more: Any
    ) -> urllib3.BaseHTTPResponse:
        answer = super().urlopen(method, url, redirect, preload_content=False, **more)
        if not preload_content:
            return answer
        body = b""
        try:
            body = answer.read(MOST_SAID + 1, decode_content=True)
        finally:
            if answer.length_remaining or len(body) > MOST_SAID:
                answer.close()  # what is left of it is not for the next question
            else:
                answer.release_conn()
        if len(body) > MOST_SAID:
            raise urllib3.exceptions.HTTPError(f"an answer larger than {MOST_SAID} bytes")
        return urllib3.HTTPResponse(
            io.BytesIO(body),
            answer.headers,
            answer.status,
            answer.version,
            reason=answer.reason,
            decode_content=False,
            enforce_content_length=False,
        )


class _BoundedByProxy(_Bounded, urllib3.ProxyManager):
    """The same, by a proxy."""


def _pool(endpoint: str, *, secure: bool, ca: Path | None) -> urllib3.PoolManager:
    proxy = getproxies().get("https" if secure else "http")
    limits = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    context = authorities(ca) if ca else None
    if proxy and not proxy_bypass(endpoint):
        return _BoundedByProxy(proxy, timeout=limits, retries=_RETRIES, ssl_context=context)
    return _Bounded(timeout=limits, retries=_RETRIES, ssl_context=context)


def _answered(error: S3Error) -> Trouble | None:
    """What the server's refusal means; its own code stays in it."""
    code = error.code or ""
    found = denied(403, _KEYS) if code in _DENIED else None
    return Trouble(f"{found.what} ({code})", _DENIED[code]) if found else None


def _no_s3(error: InvalidResponseError) -> Trouble | str:
    said = str(error)
    status = int(found[1]) if (found := _STATUS.search(said)) else 0
    return wants_tls(status, said.encode(), _WORDS) or denied(status, _KEYS) or _repeated(said)


def _repeated(said: str) -> str:
    """What others said; cleaned before it is cut, since half a secret is not known as one."""
    return bounded(REDACTOR.clean(said), 300)


def _refused(connection: S3, why: Trouble | str) -> GopubError:
    told = why if isinstance(why, Trouble) else Trouble(why, "check address, bucket, keys and rights of the connection")
    problem = f"the bucket {connection.bucket!r} at {connection.endpoint} cannot be used: {told.what}"
    return GopubError("GP342", problem, hint=told.hint)

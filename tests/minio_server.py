"""A real MinIO server for tests: on a free loopback port, with random keys, in a folder of its own."""

import os
import secrets
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import urllib3

from gopub.paths import cache_dir
from gopub.process import base_environment
from gopub.spec.kinds import SecretRef
from gopub.store.backends.s3 import S3
from tests.support.ports import free_port


@dataclass(frozen=True)
class Minio:
    """A running server; its keys lie in files beside its data."""

    endpoint: str
    data: Path
    access_key: Path
    secret_key: Path

    def connection(self, bucket: str, **more: object) -> S3:
        return S3.model_validate(
            {
                "endpoint": self.endpoint,
                "bucket": bucket,
                "access_key": SecretRef(file=self.access_key),
                "secret_key": SecretRef(file=self.secret_key),
                "secure": False,
                **more,
            }
        )


def program(name: str) -> Path:
    """A program that the set-up builds; its absence is a failure, not a reason to skip."""
    cache = Path(os.environ["GOPUB_CACHE"]) if "GOPUB_CACHE" in os.environ else cache_dir()
    path = cache / "bin" / name
    assert path.exists(), f"{path} is missing: run make setup"
    return path


@contextmanager
def minio_server(folder: Path, host: str = "127.0.0.1", certs: Path | None = None) -> Iterator[Minio]:
    """Start one on an address of this machine, give it when it answers, end it by its pid.

    With ``certs``, a folder with ca.pem, public.crt and private.key, it speaks TLS.
    """
    keys = {name: folder / name for name in ("access_key", "secret_key")}
    for path in keys.values():
        path.write_text(secrets.token_hex(16))
    endpoint = f"{host}:{free_port(host)}"
    log = (folder / "minio.log").open("wb")
    settings = {
        "MINIO_ROOT_USER": keys["access_key"].read_text(),
        "MINIO_ROOT_PASSWORD": keys["secret_key"].read_text(),
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
        "HOME": str(folder),
    }
    data = folder / "data"
    tls = ("--certs-dir", str(certs)) if certs else ()
    server = subprocess.Popen(
        [program("minio"), "server", str(data), "--quiet", "--address", endpoint, *tls],
        env=base_environment(extra=settings),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        _wait(endpoint, server, folder / "minio.log", certs)
        yield Minio(endpoint, data, **keys)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
        log.close()


def _wait(endpoint: str, server: "subprocess.Popen[bytes]", log: Path, certs: Path | None) -> None:
    trusted = ssl.create_default_context(cafile=certs / "ca.pem") if certs else None
    pool = urllib3.PoolManager(retries=False, timeout=1, ssl_context=trusted)
    scheme = "https" if certs else "http"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            if pool.request("GET", f"{scheme}://{endpoint}/minio/health/ready").status == 200:
                return
        except urllib3.exceptions.HTTPError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())

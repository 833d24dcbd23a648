"""The same demo on the parts that production uses: MinIO, a Prefect server and a worker, Sigstore for a key."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from gopub import process
from gopub.canon import Json
from gopub.cli.demo import certified
from gopub.cli.demo.ground import Beside, Ground
from gopub.cli.demo.talk import Talk
from gopub.cli.engine import load, run_deployment
from gopub.errors import GopubError
from gopub.lab.lab import Lab
from gopub.paths import cache_dir
from gopub.spec.kinds import SecretRef
from gopub.store.backends.s3 import S3
from gopub.views.summary import read_summary
from gopub.wiring import settings

STORE = "artifacts"
PORT = 9000


class RealGround(Ground):
    """Releases go to MinIO, signed by Sigstore; flows run on a worker; all of it is ended by pid at the end."""

    def __init__(self, lab: Lab, folder: Path, examples: Path, talk: Talk, outside: Mapping[str, str]) -> None:
        """Start nothing yet."""
        super().__init__(lab, folder, examples, talk, outside)
        self._minio = 0
        self._server: Any = None
        self._worker: Any = None

    def start(self) -> None:
        """Start MinIO, the Prefect server and the worker, and set the server up."""
        self._start_minio()
        asyncio.run(self._start_prefect())

    def spec_of(self, service: str, text: str) -> str:
        """The example's gopub.yaml, publishing to MinIO, signed without a key."""
        made = certified.spec_of(service, text, self.lab.sigstore.issuer)
        return made.rstrip("\n") + f"\npublish: {{store: {STORE}}}\n"

    def commit(self, service: str, version: str, files: Mapping[str, str]) -> Path:
        """The same, as the job of a GitLab finds it, with the job's token."""
        path = super().commit(service, version, files)
        if not self.git(path, "remote"):
            self.git(path, "remote", "add", "origin", certified.remote_of(service))
        self.git(path, "update-ref", "refs/remotes/origin/main", "HEAD")
        certified.write_token(self.lab.sigstore, self._token, service, version, self.git(path, "rev-parse", "HEAD"))
        return path

    @property
    def _token(self) -> Path:
        return self.folder / "token"

    def deploy(self, parameters: Mapping[str, Json], beside: Beside) -> Json:
        """Start the deployment, as the UI or a webhook does, and follow the journal until the run has ended."""
        before = set(settings.journal().streams("rollout/"))
        run_deployment("deploy/deploy", parameters, beside)
        journal = settings.journal()
        made = [stream for stream in journal.streams("rollout/") if stream not in before]
        if not made:
            raise GopubError("GP947", "the deployment's run ended without a rollout",
                             hint=f"see {self.folder}/prefect/gopub-worker.log")  # fmt: skip
        return read_summary(journal, made[-1].removeprefix("rollout/"))

    def keep_parts(self) -> list[int]:
        """They run already."""
        self.talk.line(f"Prefect UI {self._server.ui}; MinIO http://{self.lab.gateway}:{PORT}")
        return [self._worker.pid, self._server.running.pid, self._minio]

    def close(self) -> None:
        """End what was started, then the lab."""
        stop = load("deployments.server:stop")
        for running in (self._worker, self._server and self._server.running):
            if running:
                asyncio.run(stop(running))
        if self._minio:
            asyncio.run(stop(load("deployments.server:Running")("MinIO", self._minio, self.folder / "minio.log")))
        super().close()

    def _start_minio(self) -> None:
        program = Path(os.environ.get("GOPUB_CACHE", cache_dir())) / "bin" / "minio"
        if not program.exists():
            raise GopubError("GP948", "MinIO is not built yet", hint="make tools")
        os.environ["AWS_ACCESS_KEY_ID"] = secrets.token_hex(8)
        os.environ["AWS_SECRET_ACCESS_KEY"] = secrets.token_hex(20)
        env = process.base_environment(extra={"MINIO_ROOT_USER": os.environ["AWS_ACCESS_KEY_ID"],
                                              "MINIO_ROOT_PASSWORD": os.environ["AWS_SECRET_ACCESS_KEY"],
                                              "MINIO_UPDATE": "off"})  # fmt: skip
        process.bypass_proxies(os.environ, self.lab.gateway)  # the S3 client knows no networks, only hosts
        address = f"{self.lab.gateway}:{PORT}"
        argv = [str(program), "server", "--quiet", "--address", address, str(self.folder / "minio")]
        self.talk.line(f"starting MinIO on {address}")
        self._minio = process.spawn(argv, log=self.folder / "minio.log", env=env)
        store = S3(endpoint=address, bucket=STORE, secure=False, access_key=SecretRef(env="AWS_ACCESS_KEY_ID"),
                   secret_key=SecretRef(env="AWS_SECRET_ACCESS_KEY"))  # fmt: skip
        asyncio.run(self._prepare(store))
        known = self.lab.connections.read_text()
        mine = self.folder / "connections.yaml"
        signs = certified.connection(self.lab.sigstore, self._token)
        mine.write_text(f'{known}{signs}{STORE}: {{kind: s3, endpoint: "{address}", bucket: {STORE}, secure: false}}\n')
        os.environ["GOPUB_CONNECTIONS"] = str(mine)

    async def _prepare(self, store: S3) -> None:
        """Make the bucket once the server answers."""
        for _ in range(100):
            try:
                await store.open().prepare()
            except GopubError:
                await asyncio.sleep(0.2)
            else:
                return
        await store.open().prepare()

    async def _start_prefect(self) -> None:
        self.talk.line("starting a Prefect server")
        self._server = await load("deployments.server:start_server")(self.folder / "prefect")
        os.environ["PREFECT_API_URL"] = self._server.url
        argv = [sys.executable, "-m", "gopub.cli.main", "setup"]
        done = await process.run(argv, env=cast("Mapping[str, str]", dict(os.environ)), timeout=300)
        self.talk.line(f"gopub setup: {len(done.text.splitlines())} things made; starting a worker")
        self._worker = await load("deployments.server:start_worker")(self._server)


def real_parts(lab: Lab, folder: Path, examples: Path, talk: Talk, outside: Mapping[str, str]) -> Ground:
    """The ground with real parts, started; what was started is ended when the rest cannot be."""
    ground = RealGround(lab, folder, examples, talk, outside)
    try:
        ground.start()
    except BaseException:
        ground.close()
        raise
    return ground

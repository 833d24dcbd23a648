"""What a rollout stated is believed by gopub, by a shell with openssl and by stock cosign, out of a real store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gopub.cli.verify import verify
from gopub.evidence import summary as summaries
from gopub.evidence.summary import PREDICATE_TYPE
from gopub.journal import events as ev
from gopub.journal.streams import stream_of
from gopub.process import base_environment, run
from gopub.release import publish
from gopub.store.backends.s3 import S3Store
from gopub.wiring import settings
from tests.minio_server import Minio, minio_server, program
from tests.releases import a_plan, prepare
from tests.support.admission_world import Shop

SCRIPT = Path(summaries.__file__).with_name("summary.sh")
NAME = "linux-amd64.admission"


@pytest.fixture(scope="module")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    with minio_server(tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture(params=["directory", "s3"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A project whose releases are in a store of that kind, and one of them there."""
    made = Shop(tmp_path, monkeypatch)
    made.hosts_in_memory()
    monkeypatch.chdir(made.project)
    if request.param == "s3":
        server: Minio = request.getfixturevalue("minio")
        file = made.project / "connections.yaml"
        hosts = [line for line in file.read_text().splitlines() if line.startswith("ssh:")]
        keys = f"access_key: {{file: {server.access_key}}}, secret_key: {{file: {server.secret_key}}}"
        store = f"artifacts: {{kind: s3, endpoint: '{server.endpoint}', bucket: stated, {keys}, secure: false}}"
        file.write_text("\n".join([store, *hosts, ""]))
        asyncio.run(_filled(S3Store.open(server.connection("stated")), tmp_path))
    return made


async def _filled(store: S3Store, folder: Path) -> None:
    await store.prepare()
    await publish(store, await prepare(folder, a_plan(folder)))
    store.pool.clear()


async def shell(argv: list[str], folder: Path) -> str:
    """What the script prints; empty where it refuses."""
    done = await run(
        [*argv, str(SCRIPT), str(folder / NAME), str(folder / f"{NAME}.pub")], env=base_environment(), check=False
    )
    return done.out.decode() if done.code == 0 else ""


async def cosign(folder: Path, digest: str) -> bool:
    """Whether stock cosign believes the bundle about the file with that digest."""
    argv = [str(program("cosign")), "verify-blob-attestation", "--key", str(folder / f"{NAME}.pub"), "--bundle",
            str(folder / f"{NAME}.sigstore.json"), "--type", PREDICATE_TYPE, "--insecure-ignore-tlog", "--digest",
            digest, "--digestAlg", "sha256"]  # fmt: skip
    return (await run(argv, env={"HOME": str(folder)}, check=False)).code == 0


def test_all_believe_what_a_rollout_stated(shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = shop.begin(shop.wish())
    assert state.plan is not None, state
    binary = dict(state.plan.binaries)["linux/amd64"]
    folder = tmp_path / "saved"
    verify("1.0.0", env="lab", into=folder)
    assert "  ok    statement" in capsys.readouterr().out
    found = [entry.event for entry in settings.journal().read(stream_of(state.rollout))]
    (stated,) = next(event for event in found if isinstance(event, ev.Admitted)).statements
    assert (folder / NAME).read_text() == stated.text, "store and journal have the same"
    lines = stated.text.partition("\n\n")[0] + "\n"
    for argv in (["dash"], ["bash", "--posix"], ["busybox", "sh"]):
        assert asyncio.run(shell(argv, folder)) == lines
    assert asyncio.run(cosign(folder, binary))
    assert not asyncio.run(cosign(folder, "5" * 64)), "a control: about something else"
    (folder / NAME).write_text(stated.text.replace("_LEVEL_1", "_LEVEL_3"))
    assert asyncio.run(shell(["dash"], folder)) == "", "a control: one digit"

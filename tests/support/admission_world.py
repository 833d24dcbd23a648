"""A project, its store and its journal on this machine, and hosts in memory: what admission stands between."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from gopub.build.artifact import FileRef
from gopub.canon import canonical, sha256
from gopub.errors import RefusedError
from gopub.evidence import KeySigner, generate, sign_blob, sign_statement
from gopub.evidence.provenance import PREDICATE_TYPE
from gopub.evidence.statement import Subject, statement
from gopub.journal.state import State
from gopub.release import SignedRelease, publish
from gopub.release.config import local_keys
from gopub.rollout import admit
from gopub.rollout import plan as plan_box
from gopub.rollout.wish import Wish
from gopub.store import blob_key, bundle_key, manifest_key, version_key
from gopub.store.backends.directory import DirectoryStore
from gopub.usecases.rehearse import Rehearsal, rehearse
from gopub.usecases.start import already_there, open_run
from tests.releases import SPEC, a_plan, prepare
from tests.support.doubles import MemoryHost, MemoryRouter
from tests.support.memory import known_as

Change = Callable[[dict[str, Any]], object]
REPOSITORY = "https://git.example.org/hello"
"""What tests/releases.py says that its releases are built from."""


class Shop:
    """A folder with gopub.yaml, connections and hosts; a store with hello 1.0.0, signed by the local key."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(path / "state"))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(path / "none"))
        monkeypatch.setenv("GOPUB_JOURNAL", str(path / "journal.db"))
        monkeypatch.delenv("PREFECT_API_URL", raising=False)
        self.path, self.project = path, path / "project"
        self.machines: dict[str, MemoryHost] = {}
        self.router = MemoryRouter()
        self.store = DirectoryStore(path / "store")
        self.spec(SPEC)
        pinned = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
        (path / "known_hosts").write_text(f"192.0.2.1 {pinned}")
        self.reached_by(f"{{kind: ssh, known_hosts: {path / 'known_hosts'}}}")
        (self.project / "hosts.ini").write_text("h1 ansible_host=192.0.2.1 role=app port=8080\n")
        self.signed = self.publish("1.0.0")
        shutil.copytree(path / "keys", local_keys())
        self.signer = generate(local_keys()).signer()
        self.stranger = generate(path / "stranger").signer()

    def spec(self, text: str) -> None:
        """Let the project's gopub.yaml say this, and name the store."""
        self.project.mkdir(exist_ok=True)
        (self.project / "gopub.yaml").write_text(f"{text}publish: {{store: artifacts}}\n")

    def reached_by(self, fleet: str) -> None:
        """Let hosts be reached by that connection."""
        store = f"{{kind: directory, path: {self.path / 'store'}}}"
        (self.project / "connections.yaml").write_text(f"artifacts: {store}\nssh: {fleet}\n")

    def publish(self, version: str, spec: str = SPEC, commit: str = "") -> SignedRelease:
        """A proper release in the store."""
        plan = a_plan(self.path, version=version, spec=spec, **({"commit": commit} if commit else {}))
        return asyncio.run(publish(self.store, asyncio.run(prepare(self.path, plan))))

    def hosts_in_memory(self) -> dict[str, MemoryHost]:
        """Let no SSH be spoken."""
        self.machines = {"h1": MemoryHost("h1", "id-h1")}
        self.reached_by(f"{{kind: memory, world: {known_as(self)}}}")
        return self.machines

    def forge(self, change: Change, signer: KeySigner, version: str = "1.0.0") -> str:
        """Whoever can write the store changes release.json, signs it, and points the version to it; gives its id."""
        manifest = json.loads(self.signed.manifest)
        change(manifest)
        data = canonical(manifest)
        self.put(manifest_key(sha256(data)), data)
        self.put(bundle_key(sha256(data)), sign_blob(signer, data))
        self.put(version_key("hello", version), sha256(data).encode())
        return sha256(data)

    def restate(self, change: Change) -> None:
        """The right key signs another provenance, and a release.json that names it."""
        target = self.signed.release.targets["linux/amd64"]
        whole = self.payload(target.evidence["provenance"])
        change(whole["predicate"])
        subjects = [Subject(one["name"], one["digest"]["sha256"]) for one in whole["subject"]]
        made = sign_statement(self.signer, statement(subjects, PREDICATE_TYPE, whole["predicate"]))
        ref = FileRef.of("provenance.sigstore.json", made)
        self.put(blob_key(ref.digest), made)

        def name_it(manifest: dict[str, Any]) -> None:
            for files in manifest["targets"].values():
                files["evidence"]["provenance"] = ref.to_json()

        self.forge(name_it, self.signer)

    def payload(self, ref: FileRef) -> dict[str, Any]:
        """The statement of a bundle in the store."""
        envelope = json.loads((self.store.root / blob_key(ref.digest)).read_bytes())["dsseEnvelope"]
        found: dict[str, Any] = json.loads(base64.b64decode(envelope["payload"]))
        return found

    def put(self, key: str, data: bytes) -> None:
        """Write past all that a store checks."""
        path = self.store.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(data)

    def wish(self, version: str = "1.0.0") -> Wish:
        """A rollout as somebody asks for it."""
        return Wish(app="hello", env="lab", version=version, project=str(self.project))

    def rehearse(self, version: str = "1.0.0") -> Rehearsal:
        """The dry run."""
        return asyncio.run(rehearse("hello", "lab", version, str(self.project)))

    def begin(self, wish: Wish) -> State:
        """The first boxes of the chart, as the flow enters them; gives what the journal holds then."""

        async def boxes() -> State:
            if await already_there(wish):
                return State()
            async with open_run(wish) as run, run.driving():
                await admit.admit(run)
                await plan_box.plan(run)
                return run.state

        return asyncio.run(boxes())

    def complaint(self, version: str = "1.0.0") -> str:
        """Why a rollout and its dry run are refused: both must say the same; empty where neither is."""
        said = []
        for way in (self._dry, self._real):
            try:
                said.append(way(version))
            except RefusedError as error:
                said.append(f"{error.code} {error.problem}")
        assert said[0] == said[1]
        return said[0]

    def _dry(self, version: str) -> str:
        return "; ".join(self.rehearse(version).admission.reasons)

    def _real(self, version: str) -> str:
        closed = self.begin(self.wish(version)).closed
        return closed.reason if closed else ""

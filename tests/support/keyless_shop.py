"""A project whose release somebody signed with certificates of a whole Sigstore."""

from __future__ import annotations

import json
from typing import Any

from gopub.build.artifact import FileRef
from gopub.canon import canonical, sha256
from gopub.store import blob_key, bundle_key, manifest_key, version_key
from tests.releases import SPEC
from tests.support.admission_world import REPOSITORY, Shop
from tests.support.sigstore_world import EXTENSIONS, IDENTITY, ISSUER, Wish, World, raw

SIGNED = f'identity: "{IDENTITY.partition("@")[0]}@refs/**", issuer: "{ISSUER}", trust: corp'
BUILT = {**EXTENSIONS, 12: REPOSITORY, 14: "refs/heads/main"}


def policy(text: str) -> str:
    """A gopub.yaml whose environment admits by that."""
    return f"{SPEC}    admit: {{{text}}}\n"


class Keyless(Shop):
    """The shop, its release signed anew with certificates of a whole Sigstore."""

    def resign(self, world: World, wish: Wish) -> str:
        """Every part of it; gives the new release's id."""
        manifest = json.loads(self.signed.manifest)
        for files, kept in zip(manifest["targets"].values(), self.signed.release.targets.values(), strict=True):
            for name, ref in kept.evidence.items():
                files["evidence"][name] = self._anew(world, wish, name, ref, kept)
        data = canonical(manifest)
        self.put(manifest_key(sha256(data)), data)
        self.put(bundle_key(sha256(data)), raw(world.blob(bytes.fromhex(sha256(data)), wish)))
        self.put(version_key("hello", "1.0.0"), sha256(data).encode())
        return sha256(data)

    def trusting(self, world: World) -> None:
        """A connection ``corp`` that believes that world."""
        (self.path / "root.json").write_text(json.dumps(world.trusted_root()))
        with (self.project / "connections.yaml").open("a") as file:
            file.write(f"corp: {{kind: sigstore, trust: {self.path / 'root.json'}}}\n")

    def _anew(self, world: World, wish: Wish, name: str, ref: FileRef, kept: Any) -> Any:
        if name in {"archive", "binary"}:
            made = raw(world.blob(bytes.fromhex(getattr(kept, name).digest), wish))
        else:
            made = raw(world.statement(self.payload(ref), wish))
        self.put(blob_key(sha256(made)), made)
        return FileRef.of(ref.name, made).to_json()

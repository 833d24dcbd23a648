"""The order for one release, and what a release flow needs of the machine it runs on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gopub.canon import sha256
from gopub.clock import new_token
from gopub.drive.naming import Elsewhere, complete
from gopub.drive.ports import open_store_of
from gopub.paths import cache_dir
from gopub.release.config import ReleaseConfig, SigningKey, local_keys, signing_key
from gopub.release.stages import ReleasePlan
from gopub.spec.connections import Connections
from gopub.spec.references import signing_names, store_names
from gopub.store.protocol import ArtifactStore


@dataclass(frozen=True, slots=True)
class Shop:
    """A folder to work in and the order to carry out; ``project`` is where connections.yaml is looked for.

    A name that no file gives is looked for elsewhere each time, so that no secret is kept between the stages.
    """

    config: ReleaseConfig
    project: Path | None
    elsewhere: Elsewhere | None = None

    def connections(self, plan: ReleasePlan) -> Connections:
        """The names of the project: of the folder that the release was started from, else of the checkout."""
        return Connections.load(self.project or plan.project)

    async def store(self, plan: ReleasePlan) -> ArtifactStore:
        """The store that the spec names."""
        known = await complete(self.connections(plan), lambda _: store_names(plan.spec), self.elsewhere)
        return open_store_of(plan.spec, known)

    async def key(self, plan: ReleasePlan) -> SigningKey:
        """The key that signs; a local pair is made at the first use."""
        known = await complete(self.connections(plan), lambda given: signing_names(plan.spec, given), self.elsewhere)
        return signing_key(plan.spec.evidence.sign.key, known, keys=local_keys())


@contextmanager
def open_shop(
    repository: str,
    ref: str,
    version: str,
    spec_file: str,
    invocation: str = "",
    elsewhere: Elsewhere | None = None,
) -> Iterator[Shop]:
    """A shop whose folder is removed at the end."""
    work = cache_dir() / "work" / f"{sha256(repository.encode())[:12]}-{new_token()[:8]}"
    work.mkdir(parents=True)
    local = Path(repository)
    try:
        config = ReleaseConfig(repository, ref, work, cache_dir(), version=version or None, spec_file=spec_file)
        if invocation:
            config = ReleaseConfig(repository, ref, work, cache_dir(), version=version or None, spec_file=spec_file,
                                   invocation=invocation)  # fmt: skip
        yield Shop(config, local.resolve() if local.is_dir() else None, elsewhere)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def now() -> float:
    """Seconds since the epoch: when a release was started and finished, for its provenance."""
    return time.time()

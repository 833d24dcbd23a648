"""The order for one release, and what a release flow needs of the machine it runs on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gopub.canon import sha256
from gopub.clock import SystemClock, new_token
from gopub.paths import cache_dir
from gopub.release.config import ReleaseConfig, SigningKey, local_keys, signing_key
from gopub.release.stages import ReleasePlan
from gopub.spec.connections import Connections
from gopub.spec.loader import load_spec
from gopub.spec.models import ReleaseSpec
from gopub.spec.references import signing_names, store_names
from gopub.store.protocol import ArtifactStore
from gopub.wiring.naming import Elsewhere, complete
from gopub.wiring.project import load_connections, open_store_of


@dataclass(frozen=True, slots=True)
class Shop:
    """A folder to work in and the order to carry out; ``project`` is the folder whose word counts, ``file`` its spec.

    Its gopub.yaml names the store and the key that signs, and its connections.yaml says what the names mean: the
    commit's own words on them are not asked. A name that no file gives is looked for elsewhere each time, so that no
    secret is kept between the stages.
    """

    config: ReleaseConfig
    project: Path
    file: Path
    elsewhere: Elsewhere | None = None

    def spec(self, plan: ReleasePlan) -> ReleaseSpec:
        """The project's spec; that of the commit where a person stands in a folder without one, or with another's."""
        spec = load_spec(self.file).spec if self.file.is_file() else plan.spec
        return spec if spec.app == plan.app else plan.spec

    def connections(self) -> Connections:
        """The names of the project."""
        return load_connections(self.project)

    async def store(self, plan: ReleasePlan) -> ArtifactStore:
        """The store that the project names."""
        spec = self.spec(plan)
        known = await complete(self.connections(), lambda _: store_names(spec), self.elsewhere)
        return open_store_of(spec, known)

    async def key(self, plan: ReleasePlan) -> SigningKey:
        """What signs; a local pair is made at the first use."""
        spec = self.spec(plan)
        known = await complete(self.connections(), lambda given: signing_names(spec, given), self.elsewhere)
        return signing_key(spec.evidence.sign, known, keys=local_keys())


@contextmanager
def open_shop(
    repository: str,
    ref: str,
    version: str,
    spec_file: str,
    project: Path,
    *,
    invocation: str = "",
    refs: Sequence[str] = (),
    elsewhere: Elsewhere | None = None,
) -> Iterator[Shop]:
    """A shop whose folder is removed at the end."""
    work = cache_dir() / "work" / f"{sha256(repository.encode())[:12]}-{new_token()[:8]}"
    work.mkdir(parents=True)
    try:
        config = ReleaseConfig(repository, ref, work, cache_dir(), version=version or None, spec_file=spec_file,
                               refs=tuple(refs))  # fmt: skip
        if invocation:
            config = replace(config, invocation=invocation)
        file = (project if project.is_file() else project / "gopub.yaml").resolve()
        config = replace(config, word=file)
        yield Shop(config, file.parent, file, elsewhere)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def now() -> float:
    """Seconds since the epoch: when a release was started and finished, for its provenance."""
    return SystemClock().now()

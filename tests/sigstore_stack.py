"""A private Sigstore for tests, started by the lab's own code: Fulcio, Rekor, time stamps, CT log, GitLab's tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from gopub.canon import Json
from gopub.lab.sigstore import oidc, services, stack
from gopub.lab.sigstore.layout import Stack

T = TypeVar("T")
PROJECT, REF = "trade/orders", "refs/tags/v1.0.0"


@dataclass(frozen=True)
class SigstoreStack:
    """A stack that runs. Whoever ends a service of it mends it: it is shared."""

    on_paper: Stack

    @property
    def trust(self) -> Path:
        """The client trust config: trusted root and signing config."""
        return self.on_paper.trust

    @property
    def trusted_root(self) -> Path:
        """The trusted root alone, for cosign."""
        return self.on_paper.trusted_root

    @property
    def signing_config(self) -> Path:
        """Where to sign alone, for cosign."""
        return self.on_paper.signing_config

    @property
    def issuer(self) -> str:
        """What certificates name as their issuer."""
        return self.on_paper.issuer

    def url(self, service: str) -> str:
        """Where oidc, ctlog, fulcio, rekor or timestamp listens."""
        return self.on_paper.url(service)

    def identity(self, project: str = PROJECT, ref: str = REF) -> str:
        """What a certificate for a token of this project and ref names as its subject."""
        return f"https://{oidc.GITLAB}/{project}//.gitlab-ci.yml@{ref}"

    def token(self, project: str = PROJECT, ref: str = REF, *, lasting: int = 3600, **said: Json) -> str:
        """A token as GitLab gives it to a job; ``said`` replaces claims: ``aud="other"``, ``iss="http://…"``."""
        return stack.token(self.on_paper, {**oidc.claims(project, ref), **said}, lasting=lasting)

    def end(self, service: str) -> None:
        """Kill a service as a crash does."""
        aside(lambda: services.kill(self.on_paper.folder, service))

    def mend(self) -> None:
        """Start again what does not run."""
        assert aside(lambda: stack.up(self.on_paper.folder, owned=True)) == self.on_paper

    def status(self) -> dict[str, int]:
        """Service → pid, 0 where it does not run."""
        return dict(stack.status(self.on_paper.folder))


@contextmanager
def running_sigstore(folder: Path) -> Iterator[SigstoreStack]:
    """Start one in this folder, give it when every service answers, end it whatever is left of it."""
    aside(services.sweep)
    try:
        yield SigstoreStack(aside(lambda: stack.up(folder, owned=True)))
    finally:
        aside(lambda: stack.down(folder))


def aside(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end in a thread of its own, whatever event loop the tests use."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(work())).result()

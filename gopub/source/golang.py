"""The Go tool with an environment that is wholly ours.

A machine's ``GOFLAGS`` (for example ``-buildvcs=false``), ``GOENV`` file or ``GOWORK`` change what is built; so
every variable that Go reads is either set here or absent. Only where modules come from (proxy, private hosts)
is the user's business: their bytes are checked against go.sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gopub.process import Result, base_environment, run

MODULE_SOURCES = ("GOPROXY", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOSUMDB", "GOAUTH")
"""The settings that a user's own Go configuration decides."""

DEFAULT_SUMDB = "sum.golang.org"

_FIXED = {
    "GOENV": "off",
    "GOFLAGS": "",
    "GOWORK": "off",
    "GOTOOLCHAIN": "local",
    "GO111MODULE": "on",
    "CGO_ENABLED": "0",
}
# Git stamps the commit into the binary: a user's git settings must not have a say in that.
_OFFLINE = {
    "GOPROXY": "off",
    "GOSUMDB": DEFAULT_SUMDB,
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}


@dataclass(frozen=True, slots=True)
class Toolchain:
    """One installed Go: its program, its version such as ``1.26.8``, and the cache that gopub gives it.

    ``sources`` are the settings of :data:`MODULE_SOURCES` as the user has them, as (name, value) pairs.
    ``digest`` is the SHA-256 over the toolchain's files, see :mod:`gopub.build.toolchain`.
    """

    go: Path
    version: str
    root: Path
    cache: Path
    sources: tuple[tuple[str, str], ...] = ()
    digest: str = ""

    @property
    def build_cache(self) -> Path:
        """What was compiled for releases. Nothing of a commit was ever executed where this can be written."""
        return self.cache / "go-compiled"

    @property
    def check_cache(self) -> Path:
        """What was compiled for vet and tests; no release is built from it."""
        return self.cache / "go-checked"

    @property
    def module_cache(self) -> Path:
        """What was downloaded; a build and tests only read it."""
        return self.cache / "go-mod"

    def settings(self) -> dict[str, str]:
        """What Go and its git are told wherever they run offline, places apart."""
        return _FIXED | _OFFLINE

    def environment(self, *, online: bool = False, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The whole environment of a ``go`` call; offline it reaches no proxy and no version control host."""
        fixed = self.settings() | {
            "GOROOT": str(self.root),
            "GOPATH": str(self.cache / "gopath"),
            "GOCACHE": str(self.build_cache),
            "GOMODCACHE": str(self.module_cache),
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }
        if online:
            for name in _OFFLINE:
                fixed.pop(name, None)
            return base_environment(
                keep=("SSH_AUTH_SOCK", "GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "NETRC"),
                extra=fixed | _checked_sources(self.sources) | dict(extra or {}),
            )
        return base_environment(extra=fixed | dict(extra or {}))


def _checked_sources(sources: tuple[tuple[str, str], ...]) -> dict[str, str]:
    # The checksum database stays on: GOPRIVATE is the way to name one's own modules.
    given = {name: value for name, value in sources if name in MODULE_SOURCES and value}
    return given | ({"GOSUMDB": DEFAULT_SUMDB} if given.get("GOSUMDB", "off") == "off" else {})


async def run_go(
    toolchain: Toolchain,
    folder: Path,
    *words: str,
    online: bool = False,
    extra: Mapping[str, str] | None = None,
    timeout: float = 900.0,  # noqa: ASYNC109 - process.run ends the whole process group
) -> Result:
    """Run ``go WORDS`` in a folder; the caller reads the exit code and says what a failure means."""
    return await run(
        [str(toolchain.go), *words],
        cwd=folder,
        env=toolchain.environment(online=online, extra=extra),
        timeout=timeout,
        check=False,
    )

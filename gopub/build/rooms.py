"""Which rooms a release's commit is met in, and what each of them sees.

=========== ======================== ============================== ===================== =========
room        the commit               Go's build cache               module cache          network
=========== ======================== ============================== ===================== =========
compile     read-only                that of builds, writable       read-only             none
prepare     read-only                that of checks, writable       read-only             none
test        a copy, writable         an empty one, thrown away      read-only             ``lo``
make        a copy, writable         none                           none                  none
=========== ======================== ============================== ===================== =========

Only compilers ever write into a cache that is kept: in the first two rooms nothing of the commit is executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gopub.build.sandbox import Bind, Room, Sandbox
from gopub.process import Result
from gopub.source.golang import Toolchain

SCRIPT = Path(__file__).resolve().with_name("tests.sh")
_PATH = "/usr/local/bin:/usr/bin:/bin"
# Nothing may ask for another linker: the build is without cgo, so only a trick in the commit could want one.
_NO_LINKER = {"CC": "/bin/false", "CXX": "/bin/false"}


@dataclass(frozen=True, slots=True)
class Site:
    """What all rooms of a release have in common: ``checkout`` is the commit's top folder, ``work`` ours alone."""

    sandbox: Sandbox
    toolchain: Toolchain
    checkout: Path
    work: Path

    def compile_room(self, out: Path) -> Room:
        """Where programs are compiled into the folder ``out``."""
        cache = Bind(self.toolchain.build_cache, "/cache", writable=True)
        return self._room(Bind(self.checkout, "/src"), cache, Bind(out, "/out", writable=True))

    def prepare_room(self, copy: Path, kept: Path) -> Room:
        """Where tests are vetted and compiled, and kept in a folder instead of being run."""
        cache = Bind(self.toolchain.check_cache, "/cache", writable=True)
        return self._room(Bind(copy, "/src"), cache, Bind(kept, "/kept", writable=True), Bind(SCRIPT, "/tests.sh"))

    def test_room(self, copy: Path, kept: Path, *, network: bool) -> Room:
        """Where tests run that were kept."""
        seen = (Bind(copy, "/src", writable=True), Bind(kept, "/kept"), Bind(SCRIPT, "/tests.sh"))
        return self._room(*seen, network=network)

    def make_room(self, copy: Path) -> Room:
        """Where a command of the team's makes what Go does not build; it sees no cache, and nothing of it is kept."""
        return Room(self.sandbox, self.work, (Bind(copy, "/src", writable=True),))

    def _room(self, *binds: Bind, network: bool = False) -> Room:
        root = self.toolchain.root
        # A distribution's Go has links from its GOROOT into /usr/share.
        goroot = Bind(root, str(root) if root.is_relative_to("/usr") else "/goroot")
        self.toolchain.module_cache.mkdir(parents=True, exist_ok=True)
        modules = Bind(self.toolchain.module_cache, "/modules")
        return Room(self.sandbox, self.work, (goroot, modules, *binds), network)

    def environment(self, room: Room, extra: Mapping[str, str]) -> dict[str, str]:
        """What Go is told in a room: all of it is ours. Without a ``GOCACHE`` it makes one in its home."""
        goroot = room.place(self.toolchain.root)
        told = {
            "GOROOT": goroot,
            "GOMODCACHE": room.place(self.toolchain.module_cache),
            "PATH": f"{goroot}/bin:{_PATH}",
        }
        return self.toolchain.settings() | told | dict(extra)

    async def go(self, room: Room, folder: Path, *words: str, extra: Mapping[str, str]) -> Result:
        """Run ``go WORDS`` in a folder of a room; the caller reads the exit code and says what a failure means."""
        env = self.environment(room, _NO_LINKER | dict(extra))
        return await room.run([f"{env['GOROOT']}/bin/go", *words], folder, env=env)

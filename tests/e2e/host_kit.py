"""What the tests of the host program share: a service to run, releases of it, and one instance on a lab host."""

from __future__ import annotations

import asyncio
import gzip
import io
import secrets
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gopub.canon import sha256
from gopub.fleet.backends.ssh import SshChannel, SshFleet
from gopub.fleet.facts import Fence, HostFacts, Wanted, order
from gopub.fleet.inventory import load_inventory
from gopub.fleet.orders import Order, Record, Verb
from gopub.fleet.templates import render_release
from gopub.fleet.unit import Service
from gopub.paths import cache_dir
from gopub.process import base_environment, run, which

SOURCE = Path(__file__).parent / "service"
APP = "service"
OLD_UNIT = "[Service]\nExecStart={home}/current/bin/old 1000\n[Install]\nWantedBy=multi-user.target\n"
PATIENCE = 3000
"""Looks after which what must come does not: far more than it takes, since other parts of the tests run beside."""
ARGUMENTS_OF = {"verify": ("port", "health", "within", "settle"), "status": ("port", "health")}


async def binary(version: str) -> bytes:
    """The test service, built once for each version and kept in the cache."""
    source = sha256(b"".join(file.read_bytes() for file in sorted(SOURCE.glob("*.go"))))[:16]
    kept = cache_dir() / "test-service" / f"{source}-{version}"
    if not kept.exists():
        await _build(version, kept)
    return kept.read_bytes()


async def handing(version: str) -> bytes:
    """The service with which ``go/handover`` is tested; what stands behind the end of its file makes it another one."""
    go, folder = which("go") or Path("/usr/local/go/bin/go"), SOURCE.parents[2] / "go/handover"
    kept = cache_dir() / "test-service" / f"handing-{secrets.token_hex(4)}"
    kept.parent.mkdir(parents=True, exist_ok=True)
    env = base_environment(extra={"CGO_ENABLED": "0", "GOFLAGS": "", "GOTOOLCHAIN": "local"})
    await run((str(go), "build", "-trimpath", "-o", str(kept), "./testdata/service"), cwd=folder, env=env)
    try:
        return kept.read_bytes() + version.encode()
    finally:
        kept.unlink()


async def _build(version: str, into: Path) -> None:
    go = which("go") or Path("/usr/local/go/bin/go")
    assert go.exists(), "the tests of the host program need a Go toolchain"
    into.parent.mkdir(parents=True, exist_ok=True)
    fresh = into.with_suffix(f".{secrets.token_hex(4)}")
    env = base_environment(extra={"CGO_ENABLED": "0", "GOFLAGS": "", "GOTOOLCHAIN": "local"})
    flags = f"-s -w -X main.version={version}"
    await run(
        (str(go), "build", "-buildvcs=false", "-trimpath", "-ldflags", flags, "-o", str(fresh), "."),
        cwd=SOURCE,
        env=env,
    )
    fresh.replace(into)


def tar_gz(entries: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """An archive of these entries, in this order, whatever they are."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, compresslevel=1) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for entry, data in entries:
            entry.size = len(data) if entry.isreg() else 0
            tar.addfile(entry, io.BytesIO(data) if entry.isreg() else None)
    return packed.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, **fields: Any) -> tarfile.TarInfo:
    """One entry of an archive."""
    made = tarfile.TarInfo(name)
    made.type, made.mode = kind, 0o755
    for field_name, value in fields.items():
        setattr(made, field_name, value)
    return made


@dataclass(frozen=True)
class Cargo:
    """A release for one instance: what is wanted, and what a stage order carries."""

    wanted: Wanted
    files: bytes
    archive: bytes

    @property
    def payload(self) -> tuple[bytes, ...]:
        return (self.files, self.archive)

    @property
    def folder(self) -> str:
        return self.wanted.folder

    def with_archive(self, archive: bytes) -> Cargo:
        """The same, told to carry another archive, whose digest the order names."""
        stage = {**self.wanted.arguments["stage"], "archive_size": str(len(archive))}
        digests = {**self.wanted.digests, "archive": sha256(archive)}
        wanted = replace(self.wanted, digests=digests, arguments={**self.wanted.arguments, "stage": stage})
        return replace(self, wanted=replace(wanted, release=sha256(archive)), archive=archive)

    def with_arguments(self, verb: Verb, **more: str) -> Cargo:
        """The same with other arguments for one verb."""
        now = {**self.wanted.arguments.get(verb, {}), **more}
        return replace(self, wanted=replace(self.wanted, arguments={**self.wanted.arguments, verb: now}))

    def keeping(self, keep: int) -> Cargo:
        """The same, of a team that keeps so many releases on a host."""
        return replace(self, wanted=replace(self.wanted, keep=keep))


@dataclass
class Site:
    """One instance on one lab host, and the seat that orders it."""

    lab: Any
    name: str
    channel: SshChannel
    instance: str
    port: int
    fence: Fence = field(default_factory=lambda: Fence(1, secrets.token_hex(16)))

    @property
    def home(self) -> str:
        return f"/opt/{self.instance}"

    @property
    def health(self) -> str:
        return f"http://127.0.0.1:{self.port}/healthz"

    async def cargo(self, version: str, *, env: Mapping[str, str] | None = None, **service: Any) -> Cargo:
        """A release of the test service for this instance."""
        program = service.pop("program", None) or await binary(version)
        templates = service.pop("templates", {})
        unit = service.pop("unit", None)
        told = {"ADDR": f":{self.port}", **(env or {})}
        rendered = render_release(
            templates,
            unit,
            Service(instance=self.instance, app=APP, env=told, **{"drain": 5, "ports": (self.port,), **service}),
            {},
        )
        files, archive = rendered.payload(), tar_gz([(entry(f"bin/{APP}"), program)])
        mode = service.get("mode", "restart")
        sizes = {
            "files_size": len(files),
            "files_unpacked": rendered.unpacked(),
            "archive_size": len(archive),
            "binary_size": len(program),
        }
        wanted = Wanted(
            app=APP,
            env="lab",
            instance=self.instance,
            release=sha256(archive),
            render=rendered.render_id,
            digests={"archive": sha256(archive), "binary": sha256(program), "files": sha256(files)},
            arguments={
                "stage": {name: str(size) for name, size in sizes.items()}
                | ({"mode": mode} if mode != "restart" else {}),
                "verify": {"port": str(self.port), "health": self.health, "within": "8", "settle": "1"},
                "status": {"port": str(self.port), "health": self.health},
            },
        )
        return Cargo(wanted, files, archive)

    async def slow(self, version: str) -> Cargo:
        """One that does not end when it is told to, until `let_go`: what is under way then is so for as long."""
        return await self.cargo(version, env={"MODE": "slow", "LET_GO": self.may_end}, drain=600)

    async def let_go(self) -> None:
        """Let a slow one end."""
        await self.sh(f"touch {self.may_end}")

    @property
    def may_end(self) -> str:
        return f"{self.home}/may-end"

    async def switching_to(self, folder: str) -> None:
        """Wait until the switch to that release is under way."""
        for _ in range(PATIENCE):
            if (await self.facts()).half == f"switch:{folder}":
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"no switch to {folder} began")

    async def facts(self) -> HostFacts:
        return await self.channel.facts(self.instance)

    async def order(self, verb: Verb, cargo: Cargo) -> Order:
        """The next order of this seat."""
        made = order(await self.facts(), cargo.wanted, verb, self.fence)
        self.fence = Fence(self.fence.epoch, self.fence.token, self.fence.n + 1)
        return made

    async def do(self, verb: Verb, cargo: Cargo, **over: Any) -> Record:
        """Give the next order, changed by ``over``, and return what the host answers."""
        made = replace(await self.order(verb, cargo), **over)
        return await self.channel.run(made, cargo.payload if verb == "stage" else (), timeout=300)

    async def run(self, verb: Verb, cargo: Cargo) -> Record:
        """As :meth:`do`, and it has to work."""
        record = await self.do(verb, cargo)
        assert record.ok, record
        return record

    async def release(self, cargo: Cargo) -> Record:
        """Stage, switch, verify."""
        await self.run("stage", cargo)
        await self.run("switch", cargo)
        return await self.run("verify", cargo)

    async def sh(self, script: str, *, check: bool = True) -> str:
        """Run a script on the host as root; gives what it prints."""
        done = await self.lab.exec(self.name, ("sh", "-c", script), check=check)
        return str(done.text)

    async def whole(self) -> str:
        """Check that nothing is mixed: every folder is complete, and what runs is what ``current`` names."""
        script = (
            f"cd {self.home}/releases && for d in */; do (cd $d && sha256sum -c --quiet .gopub-sums) || echo $d; done"
        )
        assert not await self.sh(script, check=False), "a release folder is not complete"
        assert not await self.sh(f"ls -A {self.home}/releases | grep '^\\.' || true"), "something was left behind"
        facts = await self.facts()
        assert facts.half is None
        if facts.current is not None:
            assert facts.runs == facts.current.name, facts
        return facts.current.name if facts.current else ""

    async def word(self, verb: Verb) -> Record:
        """A person's word for what was there before, or against it: no driver's order, so nothing fences it."""
        return await self.channel.run(await self.word_order(verb))

    async def word_order(self, verb: Verb) -> Order:
        """The order that carries it."""
        facts = await self.facts()
        return Order(verb, self.name, facts.machine_id, self.instance, APP, "lab", reason="it is ours")

    async def close(self) -> None:
        unit = f"{self.instance}.service {self.instance}@a.service {self.instance}@b.service"
        await self.sh(
            f"touch {self.may_end}; systemctl stop -q {self.instance}.socket 2>/dev/null; "
            f"systemctl disable -q --now {unit} 2>/dev/null; rm -rf /etc/systemd/system/{self.instance}[.@]*; "
            f"systemctl daemon-reload; systemctl reset-failed '{self.instance}*' 2>/dev/null; "
            f"umount {self.home} 2>/dev/null; rm -rf {self.home}",
            check=False,
        )


async def open_site(lab: Any, fleet: SshFleet, name: str) -> Site:
    """A new instance on a host of the lab, with a port of its own."""
    host = load_inventory(lab.inventory).host(name)
    assert host is not None
    instance = f"t-{secrets.token_hex(3)}"
    return Site(lab, name, await fleet.channel(host), instance, 20000 + secrets.randbelow(10000))


@dataclass(frozen=True)
class Old:
    """A service that somebody else set up: where its unit lies, and what ``current`` is."""

    unit: str
    stands: str


async def old_service(site: Site, folder: str, *, link: bool) -> Old:
    """By hand (a folder), or as Capistrano lays it out (a link)."""
    unit, home = f"{folder}/systemd/system/{site.instance}.service", site.home
    place = f"{home}/releases/20240101120000" if link else f"{home}/current"
    await site.sh(f"""
        mkdir -p {place}/bin {home}/shared && cp /bin/sleep {place}/bin/old && echo kept > {place}/data
        {f"ln -s {place} {home}/current" if link else ":"}
        cat > {unit} <<'END'\n{OLD_UNIT.format(home=home)}END
        systemctl daemon-reload && systemctl enable -q --now {site.instance}""")
    return Old(unit, f"a link to {place}" if link else "a folder")

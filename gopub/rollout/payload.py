"""What travels to a host: its rendered files, and the archive unless the host fetches that itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gopub.canon import Json, sha256
from gopub.errors import GopubError
from gopub.fleet.host import Host
from gopub.fleet.modes import MODES
from gopub.fleet.protocol import Payload
from gopub.fleet.runtime import Runtime
from gopub.fleet.slots import SIDE
from gopub.fleet.templates import Rendered, render_release
from gopub.fleet.unit import Service
from gopub.release.model import Release
from gopub.rollout.run import Run
from gopub.spec.models import Environment
from gopub.store.keys import blob_key

URL_LIVES = 900.0
"""Seconds that a presigned URL is good for."""


@dataclass(frozen=True, slots=True)
class Cargo:
    """A stage order's digests and arguments, and the payload that follows it."""

    digests: Mapping[str, str]
    arguments: Mapping[str, str]
    payload: Payload


async def cargo_for(run: Run, name: str) -> Cargo:
    """The cargo for one host: by presigned URL where the store has URLs, else all of it on the connection."""
    release = _release(run)
    planned = run.plan.host(name)
    rendered = render_for(release, run.plan.env, run.ports.environment, run.host(name))
    if rendered.render_id != planned.render:
        raise GopubError("GP723", f"{name}: its variables changed since the plan was made",
                         hint="abort, and start the rollout again")  # fmt: skip
    files = release.targets[planned.target]
    packed = rendered.payload()
    url = await run.ports.store.url(blob_key(files.archive.digest), expires=URL_LIVES)
    arguments = {
        "files_size": str(len(packed)),
        "files_unpacked": str(rendered.unpacked()),
        "archive_size": str(files.archive.size),
        "binary_size": str(files.binary.size),
        **({"user": run.ports.environment.service.user} if run.ports.environment.service.user else {}),
        **({"url": url} if url else {}),
        **({"mode": mode} if (mode := run.ports.environment.switch) != "restart" else {}),
        **({"both": "1"} if agrees_both_ways(run.ports.environment) else {}),
        **taking_in(run.ports.environment),
        **({"ports": ",".join(map(str, ports_of(run.ports.environment)))} if mode == SIDE else {}),
        **{f"check.{n}": word for n, word in enumerate(run.ports.environment.config_check)},
    }
    digests = {"archive": files.archive.digest, "binary": files.binary.digest, "files": sha256(packed)}
    archive = () if url else (await run.archive(files.archive),)
    return Cargo(digests, arguments, (packed, *archive))


def agrees_both_ways(environment: Environment) -> bool:
    """Whether old and new must agree with each other's files: where the switch mixes both, or the team says so."""
    mixes = MODES[environment.switch].mixes or environment.compat.config_check == "both"
    return mixes and bool(environment.config_check)


def taking_in(environment: Environment) -> dict[str, str]:
    """Which files a process takes in without a restart, and how it says so; nothing where it takes in none."""
    files = [file.to for file in environment.config if file.apply == "reload"]
    if not files:
        return {}
    return {"reload": " ".join(files), **{f"confirm.{n}": word for n, word in enumerate(environment.confirm)}}


def render_all(release: Release, env: str, environment: Environment, hosts: Sequence[Host]) -> dict[str, Rendered]:
    """Every host's render."""
    return {host.name: render_for(release, env, environment, host) for host in hosts}


def render_for(release: Release, env: str, environment: Environment, host: Host) -> Rendered:
    """One host's files: templates of the release, with the host's variables."""
    files = release.environments[env]
    told = environment.service
    service = Service(
        instance=environment.instance,
        app=release.app,
        args=told.args,
        env=told.env,
        user=told.user,
        drain=environment.traffic.drain if environment.traffic else 20.0,
        mode=environment.switch,
        ports=ports_of(environment),
        runtime=runtime_of(environment),
    )
    return render_release(files.templates, files.unit, service, variables_of(release, env, environment, host))


def ports_of(environment: Environment) -> tuple[int, ...]:
    """The ports on which the service listens: that of the traffic first, then that of the health check.

    Side by side those of the two slots.
    """
    if environment.switch == SIDE and environment.service.ports:
        return environment.service.ports
    traffic = (environment.traffic.port,) if environment.traffic else ()
    return tuple(dict.fromkeys((*traffic, environment.health.port)))


def asks_of(environment: Environment) -> dict[str, str]:
    """How a host is asked about a release, as arguments of an order: its health check, and where it listens."""
    traffic = {"traffic_port": str(environment.traffic.port)} if environment.traffic else {}
    return {**environment.health.orders, "port": str(environment.health.port), **traffic}


def runtime_of(environment: Environment) -> Runtime:
    """The variables and limits that are read back from a process of this release."""
    return Runtime(environment.service.runtime, environment.service.limits.given)


def variables_of(release: Release, env: str, environment: Environment, host: Host) -> dict[str, Json]:
    """What templates may name: the host's variables, and the release's own words, which win."""
    return {
        **host.variables,
        "app": release.app,
        "env": env,
        "version": release.version,
        "release": release.release_id[:12],
        "instance": environment.instance,
        "host": host.name,
        "address": host.address,
    }


def _release(run: Run) -> Release:
    if run.release is None:
        raise GopubError("GP724", f"rollout {run.rollout} has no release at hand", hint="is the store reachable?")
    return run.release

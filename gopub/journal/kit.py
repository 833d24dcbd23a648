"""The rollback kit: what going back needs when everything but hosts and edges is down.

Each plan writes one beside the journal, before anything is changed: addresses, host keys, folders, the stable
release, and the epoch to go above. It holds no secret; keys stay where SSH finds them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny, TypeAdapter, ValidationError, ValidationInfo

from gopub.canon import JsonError, bounded, read_json
from gopub.errors import GopubError
from gopub.fleet.host import Host
from gopub.fleet.protocol import FleetConnection
from gopub.journal.private import write_private
from gopub.plan.model import Plan
from gopub.release.environments import effective
from gopub.spec.kinds import Kinds
from gopub.spec.models import Environment
from gopub.traffic.door import RouterConnection


def _of_kind(door: str) -> Callable[[Any, ValidationInfo], Any]:
    """Read a connection by its ``kind``, out of those that the reader gives; without one it is the door's first."""

    def read(value: Any, info: ValidationInfo) -> Any:
        kinds: Kinds | None = (info.context or {}).get("kinds")
        if kinds is None or not isinstance(value, dict):
            return value
        kind = value.get("kind", kinds.names(door)[0])
        model = kinds.find(kind) if kind in kinds.names(door) else None
        if model is None:
            raise ValueError(f"no {door} of kind {bounded(str(kind))} is known here")
        return model.model_validate(value)

    return read


@dataclass(frozen=True, slots=True)
class Kit:
    """A plan and how to reach what it names; ``known`` are (version, release id) of what ran here before."""

    epoch: int
    plan: Plan
    hosts: tuple[Host, ...]
    environment: Environment
    edges: tuple[Host, ...] = ()
    router: Annotated[SerializeAsAny[RouterConnection] | None, BeforeValidator(_of_kind("router"))] = None
    known: tuple[tuple[str, str], ...] = ()
    schema: str = "gopub/kit/v1"
    fleet: Annotated[SerializeAsAny[FleetConnection] | None, BeforeValidator(_of_kind("fleet"))] = None
    """How hosts are reached, where that is another way than SSH, or orders are signed: what the plan froze of each host
    says all else of SSH."""
    floor: str | None = ""
    """The floor that counted before this plan; None where nobody knew. A promotion may have raised it to the plan's."""


_ADAPTER = TypeAdapter(Kit)
LARGEST = 64 << 20
"""Bytes of a kit; one of 5,000 hosts has about 5 MB."""


def kit_path(folder: Path, app: str, env: str) -> Path:
    """Where the kit of an (app, env) lies."""
    return folder / f"{app}-{env}.json"


def write_kit(folder: Path, kit: Kit) -> Path:
    """Write it whole or not at all, readable by its owner only; variables, which may be secrets, stay out."""
    kit = replace(kit, hosts=_bare(kit.hosts), edges=_bare(kit.edges))
    path = kit_path(folder, kit.plan.app, kit.plan.env)
    # What the team declared of the score must stay told from defaults: a rollout that goes on judges by this.
    whole = _ADAPTER.dump_python(kit, mode="json", by_alias=True) | {"environment": effective(kit.environment)}
    if kit.fleet is None:
        del whole["fleet"]
    write_private(path, json.dumps(whole, indent=1).encode())
    return path


def _bare(hosts: Iterable[Host]) -> tuple[Host, ...]:
    return tuple(replace(host, labels={}, variables={}) for host in hosts)


def read_kit(folder: Path, app: str, env: str, kinds: Kinds) -> Kit:
    """The kit of the last plan for an (app, env); ``kinds`` are those of which its connections may be.

    Raises:
        GopubError: GP716 there is none here, GP717 it cannot be read, or does not fit.
    """
    path = kit_path(folder, app, env)
    try:
        data = path.read_bytes()
        read_json(data, limit=LARGEST)
        return _ADAPTER.validate_json(data, context={"kinds": kinds})
    except FileNotFoundError as error:
        raise GopubError("GP716", f"no rollback kit for {app} in {env} at {path}",
                         hint="run it where the last rollout was driven") from error  # fmt: skip
    except OSError as error:
        raise GopubError("GP717", f"the rollback kit {path} cannot be read: {error.strerror}",
                         hint="it must be a file that this user may read") from error  # fmt: skip
    except JsonError as error:
        raise GopubError("GP717", f"the rollback kit {path} is damaged: {error}",
                         hint="was the disk full? `gopub status` shows what the journal knows") from error  # fmt: skip
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        said = bounded(f"{place}: {first['msg']}")
        raise GopubError("GP717", f"the rollback kit {path} does not fit: {said}",
                         hint="was it written by another version?") from error  # fmt: skip

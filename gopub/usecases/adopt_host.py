"""`gopub host adopt`: a person's word that gopub may take the place of what was on a host before it.

The host writes down what is there and changes nothing else; the old service runs on until a rollout switches the host.
A rollout that goes back before it was promoted brings it back; afterwards nothing of gopub does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gopub.canon import Json
from gopub.errors import GopubError, UsageError
from gopub.fleet.facts import HostFacts
from gopub.fleet.host import Host
from gopub.fleet.orders import Order, Record, Verb
from gopub.journal import events as ev
from gopub.journal.reading import read_env_state, whoami
from gopub.journal.streams import env_stream
from gopub.plan.preflight import REPLACED, in_the_way, refusal_of_unpinned
from gopub.rollout.stage import on_each
from gopub.rollout.survey import read_facts
from gopub.wiring.allowed import of_project
from gopub.wiring.naming import Elsewhere
from gopub.wiring.outside import open_ports
from gopub.wiring.ports import Ports
from gopub.wiring.project import open_project


@dataclass(frozen=True, slots=True)
class Adoption:
    """What stands on the hosts, and what came of the word for it; ``done`` is empty where it was only looked at."""

    instance: str
    facts: Mapping[str, HostFacts]
    undo: bool = False
    done: Mapping[str, Record] | None = None

    @property
    def meant(self) -> tuple[str, ...]:
        """The hosts on which there is something to do."""
        return meant(self.facts, undo=self.undo)

    @property
    def failed(self) -> GopubError | None:
        """The first refusal of a host; None where all did it."""
        return next((record.error() for record in (self.done or {}).values() if not record.ok), None)

    def to_json(self) -> dict[str, Json]:
        """For ``--json``."""
        hosts: dict[str, Json] = {name: fact.standing.to_json() for name, fact in self.facts.items()}
        done: dict[str, Json] = {name: record.to_json() for name, record in (self.done or {}).items()}
        return {"instance": self.instance, "hosts": hosts, "meant": list(self.meant), "done": done}

    def lines(self) -> list[str]:
        """For people: host by host what stands there, and what happens to it when."""
        return [line for name, fact in self.facts.items() for line in _told(name, fact, self)]


def meant(facts: Mapping[str, HostFacts], *, undo: bool) -> tuple[str, ...]:
    """The hosts that an adoption, or its undoing, is about. Pure."""
    return tuple(name for name, fact in facts.items() if _is_meant(fact, undo=undo))


def _is_meant(fact: HostFacts, *, undo: bool) -> bool:
    if fact.current is not None:  # a release of gopub took the place already: nothing is left to adopt or to take back
        return False
    return fact.standing.adopted if undo else in_the_way(fact.standing)


async def adopt(
    folder: str, env: str, names: Sequence[str] = (), *, undo: bool = False, do: bool = False, reason: str = "",
    elsewhere: Elsewhere | None = None,
) -> Adoption:  # fmt: skip
    """Look at an env's hosts (or those that are named), and give the word, or take it back, where ``do`` says so.

    Raises:
        UsageError: GP457 a name is no host of the env.
        RefusedError: GP480 a host is not enrolled, and the env wants that.
        GopubError: GP720 a host does not answer.
    """
    project = await open_project(folder).naming_store(elsewhere)
    allowed = of_project(project, env)
    project = await project.naming(allowed.environment, elsewhere)
    async with open_ports(project, allowed) as ports:
        hosts = _chosen(ports.hosts, names, env)
        instance = ports.environment.instance
        found = Adoption(instance, await read_facts(ports.fleet, hosts, instance), undo)
        if not do or not found.meant:
            return found
        loose = [name for name in found.meant if found.facts[name].enrolled is None]
        if error := refusal_of_unpinned(env, ports.environment, loose):
            raise error
        verb: Verb = "disown" if undo else "adopt"
        read_env_state(ports.journal, project.spec.app, env)  # so that hosts which remember the journal are told of it

        async def one(name: str) -> Record:
            return await _order(ports, found.facts[name], verb, project.spec.app, env, reason)

        done = await on_each(found.meant, one)
        after = await read_facts(ports.fleet, hosts, instance)
        if changed := tuple(name for name, record in done.items() if record.ok):
            version = read_env_state(ports.journal, project.spec.app, env).version
            event = ev.HostsAdopted(changed, reason, undone=undo)
            ports.journal.append(env_stream(project.spec.app, env), version, [event], actor=whoami())
        return Adoption(instance, after, undo, done)


async def _order(ports: Ports, facts: HostFacts, verb: Verb, app: str, env: str, reason: str) -> Record:
    host = next(host for host in ports.hosts if host.name == facts.host)
    order = Order(verb, facts.host, facts.machine_id, ports.environment.instance, app, env,
                  reason="".join(char if char.isprintable() else " " for char in reason)[:300],
                  journal=ports.journal.head.said())  # fmt: skip
    return await (await ports.fleet.channel(host)).run(order)


def _chosen(hosts: Sequence[Host], names: Sequence[str], env: str) -> tuple[Host, ...]:
    known = {host.name: host for host in hosts}
    if unknown := [name for name in names if name not in known]:
        raise UsageError("GP457", f"{', '.join(unknown)}: no host of {env}; it has {', '.join(known)}",
                         hint="name hosts as the inventory does, or none for all of them")  # fmt: skip
    return tuple(known[name] for name in names) if names else tuple(hosts)


def _told(name: str, fact: HostFacts, all_of: Adoption) -> list[str]:
    standing, home = fact.standing, f"/opt/{all_of.instance}"
    if not standing.found:
        free = f"runs {fact.current.name}, which gopub made" if fact.current else "nothing is there; it is free"
        return [f"{name}: {free}"]
    if fact.current is not None and not standing.adopted:
        found = "; ".join(standing.found)
        return [f"{name}: runs {fact.current.name}, which gopub made, and there is, not made by it: {found}",
                f"  cannot be adopted: {REPLACED}"]  # fmt: skip
    state = "adopted" if standing.adopted else "not made by gopub"
    lines = [f"{name}: {state}: {'; '.join(standing.found)}"]
    if standing.unit.startswith("/etc/systemd/system/"):
        lines.append(f"  {standing.unit} is kept in {home}/.gopub/before, and written anew by the first switch")
    elif standing.unit:
        lines.append(
            f"  {standing.unit} stays; the first switch writes one of gopub's before it, in /etc/systemd/system"
        )
    lines.extend(f"  {path} stays, and changes gopub's unit as well" for path in standing.drop_ins)
    if standing.current.startswith("a link"):
        lines.append(f"  {home}/current leads to gopub's release from the first switch on; what it led to stays")
    elif standing.current:
        lines.append(f"  {home}/current is moved to {home}/releases/before-gopub by the first switch, and stays there")
    running = f"process {fact.unit.main_pid} runs on until then" if fact.unit.main_pid else "its unit runs no process"
    return [*lines, f"  {running}; a first rollout that goes back brings all of it back, a promoted one does not"]

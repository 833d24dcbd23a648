"""Orders to the hosts of a rollout, one function for each thing a host is told; the answers are records.

An order is numbered once and asked again with the same number when a connection drops, so the host's program
answers with what it already did. Which codes blame the release and which the surroundings is decided here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gopub.errors import GopubError
from gopub.fleet.asking import Asked
from gopub.fleet.keeping import Known, surplus
from gopub.fleet.orders import ENTERS, Order, Record, Verb
from gopub.fleet.protocol import HostChannel
from gopub.fleet.runtime import Runtime
from gopub.fleet.unit import stop_seconds, unit_name
from gopub.health.samples import ProcessHealth
from gopub.health.sources import LogTarget
from gopub.health.uses import use_of
from gopub.journal.reading import harmless_of
from gopub.plan.ways import HANDED
from gopub.rollout.payload import Cargo, asks_of, cargo_for, runtime_of
from gopub.rollout.pinning import refuse_unpinned
from gopub.rollout.run import Run
from gopub.rollout.stating import carried
from gopub.spec.compat import Hook
from gopub.tracing.attributes import of_order
from gopub.tracing.context import header
from gopub.tracing.spans import Kind, span

RELEASE_AT_FAULT = frozenset(
    {
        "GP437",
        "GP441",
        "GP442",
        "GP443",
        "GP444",
        "GP445",
        "GP446",
        "GP447",
        "GP530",
        "GP533",
        "GP535",
        "GP536",
        "GP537",
        "GP556",
        "GP557",
        "GP558",
        "GP560",
    }
)
"""The host did its part; what it was given does not start, run, listen or answer."""
PROBE_TRIES = 3
REACH = 2.0
"""Seconds that a look waits for the connection to one host: a dead one must not delay the verdict on the others."""
STATUS = 10.0
"""Seconds that a look waits for one host's answer."""
LOCK_WAIT, SETTLE = 60, 2
"""What the host program takes when an order does not say: seconds for its lock, and for which all must stay so."""
JOB = 60
"""Seconds that the host program gives a job for all but waiting and stopping."""
MARGIN = 60
"""Seconds that a driver waits longer than the host."""
_PROBE = frozenset({"GP445", "GP446"})
_IN_PASSING = "GP451"
_OTHER_RUNTIME = "GP572"
"""The last thing that a proof looks at: where it says so, all else holds."""


async def stage(run: Run, name: str) -> Record:
    """Put the release beside the others; nothing is activated."""
    cargo = await cargo_for(run, name)
    order = _order(run, name, "stage", digests=cargo.digests, arguments=cargo.arguments)
    return await _ask(run, order, cargo, timeout=1800)


async def switch(run: Run, name: str) -> Record:
    """Make the staged release the one that runs, and prove it; the record is the proof's, or the first that failed."""
    digests = {"binary": binary_digest(run, name)}
    arguments = _moving(run)
    if run.plan.host(name).beside:  # it is proven before anything else changes on the host
        arguments |= asks_of(run.ports.environment) | {"within": str(_within(run))}
    done = await _move(run, _order(run, name, "switch", digests=digests, arguments=arguments))
    if not done.ok:
        return done
    return await verify(run, name, digests, folder_of(run, name))


async def hook(run: Run, name: str, hook: Hook, words: Sequence[str], run_id: str) -> Record:
    """Run a hook of the release there, as the service's user; a host that ran it before says what came of it."""
    user = run.ports.environment.service.user
    arguments = {
        "hook": hook.name,
        "id": run_id,
        "within": str(round(hook.within)),
        "stop_timeout": str(round(hook.within) + SETTLE),
        **({"again": "1"} if hook.again else {}),
        **({"user": user} if user else {}),
        **{f"word.{n}": word for n, word in enumerate(words)},
    }
    order = _order(run, name, "hook", digests={"binary": binary_digest(run, name)}, arguments=arguments)
    return await _ask(run, order, timeout=hook.within + LOCK_WAIT + JOB + MARGIN)


async def verify(run: Run, name: str, digests: Mapping[str, str], runs: str) -> Record:
    """The proof: the process that serves is exactly the signed bytes, listens, and answers the health check."""
    arguments = asks_of(run.ports.environment) | {"within": str(_within(run))}
    proof = await _prove(run, _order(run, name, "verify", digests=digests, arguments=arguments))
    proof = read_back(proof, runtime_of(run.ports.environment))
    return _placed(
        run, name, replace(proof, values={**proof.values, "runs": proof.values.get("current", runs)}), arguments
    )


def _placed(run: Run, name: str, record: Record, asks: Mapping[str, str]) -> Record:
    """The record with where the host serves now, where that may be another place than the plan found."""
    planned, port = run.plan.host(name), asks.get("traffic_port", "")
    if not (planned.beside or planned.slot or (port and planned.peer.rpartition(":")[2] != port)):
        return record
    usual = {"slot": ""} | ({"port": port} if port else {})
    return replace(record, values={**usual, **record.values})


def _asks_before(run: Run) -> dict[str, str]:
    """How hosts are asked about stable: as its release says, where the plan could read that."""
    return dict(run.plan.before_asks) or asks_of(run.ports.environment)


def read_back(proof: Record, wanted: Runtime) -> Record:
    """The proof; failed where the program of the host says nothing of variables or limits of the release. Pure."""
    missing = sorted(wanted.names - proof.values.keys()) if proof.ok else []
    if not missing:
        return proof
    names = ", ".join(name.partition(".")[2] for name in missing)
    said = f"its program is older and does not read back {names}: `gopub host upgrade` brings it the newest"
    return replace(proof, ok=False, code="GP573", message=said)


async def restore(run: Run, name: str) -> Record:
    """Bring back what the host had before the plan; nothing before means that the unit is stopped."""
    planned = run.plan.host(name)
    if not planned.before:
        return await _move(run, _order(run, name, "stop", arguments=_moving(run), release="", render=""))
    release, _, render = planned.before.partition("-")
    digests = {"binary": planned.before_digest} if planned.before_digest else {}
    order = _order(run, name, "rollback", digests=digests, arguments=_moving(run), release=release, render=render)
    done = await _move(run, order)
    if not done.ok:
        return done
    asks = _asks_before(run)
    arguments = asks | {"within": str(_within(run)), "settle": "0"}
    order = _order(run, name, "verify", digests=digests, arguments=arguments, release=release, render=render)
    proof = await _prove(run, order)
    if proof.code == _OTHER_RUNTIME:  # all else holds, and a host that serves is worth more than what it was given
        run.alarm(f"{name}: {proof.message}")
        proof = replace(proof, ok=True, code="", message="")
    return _placed(run, name, replace(proof, values={**proof.values, "runs": planned.before}), asks)


async def prune(run: Run, name: str, known: Known) -> Record:
    """Remove the releases that are not kept; failing to is no failure of the rollout."""
    facts = await (await run.ports.fleet.channel(run.host(name))).facts(run.plan.instance)
    now = run.plan.host(name).folder(run.plan.release.release)
    gone = surplus(facts.releases, now=now, previous=facts.previous, keep=run.plan.keep_releases, known=known)
    order = _order(run, name, "prune", arguments={"remove": " ".join(gone)})
    return await _ask(run, order, timeout=300 + (_stop_seconds(run) if run.plan.host(name).beside else 0))


async def end_beside(run: Run, name: str) -> Record:
    """Stop what does not serve any more and still runs beside what does; no folder is removed."""
    return await _ask(run, _order(run, name, "prune"), timeout=_stop_seconds(run) + MARGIN)


async def process_health(run: Run, name: str) -> ProcessHealth:
    """How the canary's process is on one host; a probe that fails is asked again before it counts."""
    order = _order(
        run, name, "status", digests={"binary": binary_digest(run, name)}, arguments=asks_of(run.ports.environment)
    )
    await _in_reach(run, name)
    record = await _ask(run, order, timeout=STATUS)
    for _ in range(PROBE_TRIES - 1):
        if record.code not in _PROBE:
            break
        await run.ports.clock.sleep(0.3)
        record = await _ask(run, order, timeout=STATUS)
    return health_of(name, record, folder_of(run, name))


async def is_there(run: Run, name: str) -> ProcessHealth:
    """Whether a host answers, and in which boot it is; what runs there is not asked."""
    try:
        await _in_reach(run, name)
        record = await _ask(run, _order(run, name, "status"), timeout=STATUS)
    except GopubError as error:
        return ProcessHealth(name, reachable=False, detail=error.problem)
    return ProcessHealth(name, reachable=record.code != _IN_PASSING, boot=record.values.get("boot_id", ""))


def health_of(name: str, record: Record, folder: str = "") -> ProcessHealth:
    """A status record as the judge reads it; ``folder`` is that of the release that it was asked about."""
    said = record.values
    if (other := other_current(record, folder)) is not None:
        boot, reachable = said.get("boot_id", ""), record.code != _IN_PASSING
        return ProcessHealth(
            name, detail=f"{record.code} {record.message}", boot=boot, reachable=reachable, other=other
        )
    memory, files = said.get("unit.memory", ""), said.get("unit.files", "")
    return ProcessHealth(
        host=name,
        active=said.get("unit.active", "") == "active",
        restarts=int(said.get("restarts", "0") or 0),
        exe_ok=record.code not in ("GP444", "GP447"),
        probe_ok=record.code not in _PROBE,
        detail="" if record.ok else f"{record.code} {record.message}",
        reachable=record.code != _IN_PASSING,  # it boots or goes down: a unit that does not run says nothing then
        memory=float(memory) if memory.isdecimal() else None,
        boot=said.get("boot_id", ""),
        files=float(files) if files.isdecimal() else None,
        use=use_of(said),
    )


async def let_remember(run: Run) -> None:
    """Bring the journal's newest entry to the hosts that remember it, as far as they answer.

    The last one of a rollout is written after the last order.
    """
    await asyncio.gather(*(is_there(run, host.name) for host in run.plan.hosts if host.pinned))


async def beside(run: Run, name: str) -> ProcessHealth:
    """How a stable host's process is, as far as it says: what the canary's is held against, and never judged itself."""
    try:
        await _in_reach(run, name)
        record = await _ask(run, _order(run, name, "status"), timeout=STATUS)
    except GopubError as error:
        return ProcessHealth(name, reachable=False, detail=error.problem)
    seen = health_of(name, record)  # it runs another release than the order names, and is not to be judged for that
    return replace(seen, active=True, restarts=0, exe_ok=True, probe_ok=True, detail="")


async def log_targets(run: Run) -> tuple[LogTarget, ...]:
    """Where the log of every host's process lies; hosts that cannot be reached are left out."""
    names = tuple(run.state.hosts)
    harmless = harmless_of(run.ports.journal, run.plan.app, run.plan.env)
    found = await asyncio.gather(*(_log_target(run, name, harmless) for name in names))
    return tuple(target for target in found if target is not None)


async def _log_target(run: Run, name: str, harmless: frozenset[str]) -> LogTarget | None:
    try:
        channel = await _in_reach(run, name)
    except GopubError:
        return None
    canary = run.state.hosts[name].track == "canary"
    release = run.plan.counted[:12] if canary else run.plan.stable.short if run.plan.stable else ""
    plan, planned, slot = run.plan, run.plan.host(name), run.state.hosts[name].slot
    asked = Asked(channel, Order("logs", name, planned.machine_id, plan.instance, plan.app, plan.env))
    unit = unit_name(plan.instance, planned.slot if slot is None else slot)
    return LogTarget(name, release, unit, asked, harmless)


async def _in_reach(run: Run, name: str) -> HostChannel:
    """The channel to a host that answers soon; it goes on being connected for a later look.

    Raises:
        GopubError: GP41x the host cannot be reached, or not within ``REACH`` seconds.
    """
    try:
        async with asyncio.timeout(REACH):
            return await run.ports.fleet.channel(run.host(name))
    except TimeoutError as error:
        raise GopubError("GP415", f"{name}: no connection within {REACH:g}s", hint="is the host up?") from error


def unreached(name: str, error: GopubError) -> Record:
    """The record of a host that did not answer; its cause is kept as what it is, beside the words."""
    cause = error.__cause__
    kind = {"cause": f"{type(cause).__name__} {getattr(cause, 'errno', None) or ''}".strip()} if cause else {}
    return Record(name, "status", 0, "", 0, ok=False, changed=False, code=error.code, message=error.problem,
                  values={"reached": "false", **kind})  # fmt: skip


def was_reached(record: Record) -> bool:
    """Whether the host itself answered."""
    return record.values.get("reached") != "false"


def refused(record: Record) -> bool:
    """Whether the host itself failed; else nobody reached it, or it was booting, and it may do it the next time."""
    return was_reached(record) and record.code != _IN_PASSING


def blames_release(record: Record, folder: str = "") -> bool:
    """Whether what went wrong with the release in ``folder`` is its doing.

    A port of its that another process holds is nobody's; that ``current`` names another release is somebody else's.
    """
    others = record.values.get("taken.port") or other_current(record, folder) is not None
    return record.code in RELEASE_AT_FAULT and not others


def other_current(record: Record, folder: str) -> str | None:
    """What ``current`` named at a look that failed, where that is not ``folder``; empty for nothing, None where it is.

    Only a look tells: an order that moves ``current`` may have failed before it did.
    """
    current = record.values.get("current")
    looked = not record.ok and record.verb in ("verify", "status") and bool(folder)
    return current if looked and current is not None and current != folder else None


def folder_of(run: Run, name: str) -> str:
    """The folder of the plan's release on that host."""
    return run.plan.host(name).folder(run.plan.release.release)


def binary_digest(run: Run, name: str) -> str:
    """The signed digest of the binary for this host's target."""
    target = run.plan.host(name).target
    return next(digest for planned, digest in run.plan.binaries if planned == target)


def _within(run: Run) -> int:
    return round(run.ports.environment.health.within)


def _stop_seconds(run: Run) -> int:
    """How long the service may take to stop; a team's own unit may have systemd's 90 seconds."""
    traffic = run.ports.environment.traffic
    return max(stop_seconds(traffic.drain) if traffic else 0, 90)


def _moving(run: Run) -> dict[str, str]:
    """How long a host may wait for the old process to end, or for another one to take over."""
    within = {"within": str(_within(run))} if run.ports.environment.switch in HANDED else {}
    return {"stop_timeout": str(_stop_seconds(run)), **within}


async def _move(run: Run, order: Order) -> Record:
    """Ask for a job of the host, and wait longer than the host lets it run."""
    return await _ask(run, order, timeout=_stop_seconds(run) + _within(run) + LOCK_WAIT + JOB + MARGIN)


async def _prove(run: Run, order: Order) -> Record:
    """Ask for a proof; before it begins, the host may have to finish what an earlier order left half done."""
    return await _ask(run, order, timeout=_within(run) + SETTLE + _stop_seconds(run) + LOCK_WAIT + JOB + MARGIN)


def _order(
    run: Run, name: str, verb: Verb, *, digests: Mapping[str, str] | None = None,
    arguments: Mapping[str, str] | None = None, release: str | None = None, render: str | None = None,
) -> Order:  # fmt: skip
    plan, planned = run.plan, run.plan.host(name)
    reason = run.state.back.reason if run.state.back else f"rollout {plan.rollout}"
    return Order(
        verb=verb,
        host=name,
        machine_id=planned.machine_id,
        instance=plan.instance,
        app=plan.app,
        env=plan.env,
        epoch=run.seat.epoch,
        token=run.seat.token,
        n=run.next_n(),
        release=plan.release.release if release is None else release,
        render=planned.render if render is None else render,
        digests=digests or {},
        arguments=arguments or {},
        reason=_one_line(reason),
        journal=run.ports.journal.head.said(plan.rollout),
        admission=carried(run.state.statements, planned.target) if verb in ENTERS else {},
    )


async def _ask(run: Run, order: Order, cargo: Cargo | None = None, *, timeout: float) -> Record:  # noqa: ASYNC109 - handed on
    with span(f"order {order.verb}", Kind.CLIENT, of_order(order)) as told:
        channel = await run.ports.fleet.channel(run.host(order.host))
        await refuse_unpinned(run, order.host, channel)
        record = await channel.run(replace(order, trace=header()), cargo.payload if cargo else (), timeout=timeout)
        if not record.ok:
            told.fail(record.code, record.message)
        return record


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)[:300]

"""The processes of a rollout from look to look: what they used in between, and how stable's are meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from gopub.health.samples import ProcessHealth
from gopub.health.uses import ProcessUse, since


class Uses:
    """Figures between two looks; begins anew with each driver."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._last: dict[str, tuple[float, ProcessUse]] = {}

    def told(self, hosts: Sequence[ProcessHealth], at: float) -> tuple[ProcessHealth, ...]:
        """The same hosts, with what their processes used since they were last asked."""
        return tuple(self._told(host, at) for host in hosts)

    def _told(self, host: ProcessHealth, at: float) -> ProcessHealth:
        if host.use is None or not host.reachable:
            return host
        then, before = self._last.get(host.host, (at, None))
        self._last[host.host] = at, host.use
        return replace(host, use=since(before, at - then, host.use))


class Beside:
    """The newest word of each stable host that was asked; their kills of before the rollout looked are not its."""

    def __init__(self, kills: Mapping[str, int]) -> None:
        """Take what an earlier driver found when it first asked."""
        self._kills = dict(kills)
        self._hosts: dict[str, ProcessHealth] = {}

    @property
    def kills(self) -> Mapping[str, int]:
        """For a later driver."""
        return dict(self._kills)

    @property
    def hosts(self) -> tuple[ProcessHealth, ...]:
        """The hosts by name."""
        return tuple(self._hosts[name] for name in sorted(self._hosts))

    def heard(self, hosts: Sequence[ProcessHealth], canary: Collection[str]) -> None:
        """Take in what was answered; a host that became a canary is none of stable's any more."""
        for name in canary:
            self._hosts.pop(name, None)
        for host in (one for one in hosts if one.reachable and one.use and one.host not in canary):
            self._hosts[host.host] = replace(host, use=self._counted(host.host, host.use))

    def _counted(self, name: str, use: ProcessUse | None) -> ProcessUse | None:
        if use is None or use.oom_kills is None:
            return use
        before = self._kills.setdefault(name, use.oom_kills)
        if use.oom_kills < before:  # its process was started since, and with it the count
            before = self._kills[name] = 0
        return replace(use, oom_before=before)

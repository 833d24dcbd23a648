"""What a forge is asked, and what its answer comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from deployments.writeback.model import Report


@dataclass(frozen=True, slots=True)
class Access:
    """The forge of an app, its API's address, who asks, and the repository's path there."""

    forge: str
    url: str
    project: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a report. ``taken``: it stands there. ``again``: the forge is away or wants to be left alone.

    Neither: it will never take it. ``pause`` are the seconds for which it asks to be left alone, 0 where it says
    nothing; ``handle`` is its id of the record, also where only that came about.
    """

    taken: bool = False
    again: bool = False
    says: str = ""
    pause: float = 0.0
    handle: str = ""


class ForgeApi(Protocol):
    """One forge's API, for one repository."""

    def __init__(self, access: Access) -> None:
        """Ask nobody yet."""

    def takes(self, report: Report) -> bool:
        """Whether the forge has such a thing at all."""

    async def tell(self, report: Report, handle: str = "", *, tried: bool = False) -> Answer:
        """Let it stand there; ``handle`` is the id of the record, ``tried``: it may be there without our knowing."""

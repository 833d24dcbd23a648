"""How two versions of a service live together: which version may follow a release. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator

from gopub.spec.base import Model
from gopub.spec.fields import Word, matching


class Compat(Model):
    """What versions must know of each other: data that one wrote and the other reads."""

    floor: (
        Annotated[
            Word,
            AfterValidator(
                matching(
                    r"v?\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", "GP585", "a version that others are compared with",
                    'write it as "1.9.0"',
                )
            ),
        ]
        | None
    ) = None  # fmt: skip
    """The oldest version that may serve beside or after this release; older ones do not read what it writes."""
    below_floor: Literal["refuse", "allow"] = "refuse"
    """What becomes of a rollout over a stable version below the floor: its way back would lead there."""

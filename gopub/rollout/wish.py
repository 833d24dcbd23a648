"""What somebody asks for, in one form from the request to the journal."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A version of an app for an env; what is not known yet is empty.

    ``release`` is the version's id once its release was read, ``commit`` what that was built from; ``project`` the
    folder of gopub.yaml; ``by`` the person of people.yaml who asks, where that is looked for; ``automatic`` means that
    no person did (a webhook, a schedule).
    ``below_floor`` is a person's approval of a way back to a version below the floor of what runs.
    ``rollout`` names one that is there already and is to be gone on with, ``run`` is the engine's run that drives.
    """

    app: str
    env: str
    version: str = ""
    release: str = ""
    commit: str = ""
    project: str = "."
    reason: str = ""
    actor: str = ""
    by: str = ""
    automatic: bool = False
    below_floor: bool = False
    rollout: str = ""
    run: str = ""

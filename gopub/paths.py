"""Where things lie: the Prefect project, and the caches, state and configuration of a user.

A checkout is a Prefect project itself; the wheel carries the same files as ``gopub/project/``. The folders of a
user follow the XDG base directory specification: a variable that holds a relative path is ignored.
"""

from __future__ import annotations

import os
from pathlib import Path

from gopub.errors import UsageError

PROJECT_FILE = "prefect.yaml"


def project_root() -> Path:
    """The folder that holds prefect.yaml, flows, tasks, blocks and deployments.

    ``GOPUB_HOME`` wins, then the folder inside the installed package, then the checkout.

    Raises:
        UsageError: GP910 ``GOPUB_HOME`` names a folder that is no such project.
    """
    chosen = os.environ.get("GOPUB_HOME")
    if chosen:
        return _checked(Path(chosen))
    package = Path(__file__).resolve().parent
    shipped = package / "project"
    return shipped if (shipped / PROJECT_FILE).is_file() else package.parent


def _checked(root: Path) -> Path:
    if not (root / PROJECT_FILE).is_file():
        raise UsageError(
            "GP910",
            f"GOPUB_HOME is {str(root)!r}, and no {PROJECT_FILE} lies there",
            hint="unset it, or name the checkout of gopub",
        )
    return root.resolve()


def cache_dir() -> Path:
    """What can be fetched or built again: ``$GOPUB_CACHE``, else ``$XDG_CACHE_HOME/gopub``."""
    named = Path(os.environ.get("GOPUB_CACHE", ""))
    return named if named.is_absolute() else _xdg("XDG_CACHE_HOME", ".cache")


def state_dir() -> Path:
    """What must survive a restart: journal, deliveries, the lab; ``$XDG_STATE_HOME/gopub``."""
    return _xdg("XDG_STATE_HOME", ".local/state")


def config_dir() -> Path:
    """What a user sets: connections.yaml; ``$XDG_CONFIG_HOME/gopub``."""
    return _xdg("XDG_CONFIG_HOME", ".config")


def _xdg(variable: str, otherwise: str) -> Path:
    named = Path(os.environ.get(variable, ""))
    return (named if named.is_absolute() else Path.home() / otherwise) / "gopub"

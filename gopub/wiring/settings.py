"""Where the journal and the kits are: flag > ``GOPUB_*`` > the user's state folder."""

from __future__ import annotations

import os
from pathlib import Path

from gopub.clock import Clock, SystemClock
from gopub.journal.database import PATIENCE
from gopub.journal.store import Journal, open_journal
from gopub.paths import private_folder, state_dir, state_folder


def journal_url() -> str:
    """``GOPUB_JOURNAL`` (a SQLAlchemy URL or a path), else SQLite in the state folder."""
    return os.environ.get("GOPUB_JOURNAL") or str(state_dir() / "journal.db")


def names_journal() -> bool:
    """Whether somebody says where the journal is."""
    return bool(os.environ.get("GOPUB_JOURNAL"))


def kits_folder() -> Path:
    """Where rollback kits lie: beside a journal file, else in the state folder."""
    url = journal_url()
    return (state_dir() if "://" in url else Path(url).parent) / "kits"


def journal(clock: Clock | None = None, *, patience: float = PATIENCE) -> Journal:
    """The journal, opened.

    Raises:
        GopubError: GP701 it cannot be opened.
    """
    state_folder()
    if kits_folder().is_dir():
        private_folder(kits_folder())
    return open_journal(journal_url(), clock or SystemClock(), patience=patience)

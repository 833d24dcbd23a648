"""Settings that every test shares."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.sigstore_stack import SigstoreStack

sys.path.append(str(Path(__file__).parent / "support" / "site"))

# A deadline for an example would be an assertion about absolute time, and so is the health check for slow data: both
# measure the machine. Examples are the same in every run, as is all chance in the tests (see tests/support/chance.py);
# GOPUB_SEED=new draws others, and a failure prints what repeats it.
settings.register_profile(
    "gopub",
    deadline=None,
    derandomize=os.environ.get("GOPUB_SEED") != "new",
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("gopub")


# Under nohup SIGHUP would be ignored by all that tests start, and a shell cannot undo that: services that reload by it
# would be told nothing.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_finish() -> None:
    """Walk no more over thousands of tests, which stay until the end, and over what is new less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@pytest.fixture(scope="session")
def sigstore_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SigstoreStack]:
    """A private Sigstore on loopback, one per test run: trust config, trusted root, tokens, addresses."""
    from tests.sigstore_stack import running_sigstore

    with running_sigstore(tmp_path_factory.mktemp("sigstore") / "stack") as running:
        yield running

"""Writing down that a release is made, and what came of it; a journal that is away keeps no build waiting."""

from __future__ import annotations

from collections.abc import Callable

from gopub.clock import new_token
from gopub.errors import GopubError
from gopub.journal.built import BuildBegan, BuildEnded, BuildOutcome
from gopub.journal.reading import whoami
from gopub.journal.store import Journal
from gopub.journal.streams import build_stream
from gopub.release.stages import ReleasePlan
from gopub.telemetry import log
from gopub.tracing.context import begin, current

_log = log("builds")


class Building:
    """The build that this process is about, if any: it makes one at a time."""

    def __init__(self, journal: Callable[[], Journal], now: Callable[[], float]) -> None:
        """Nothing is built yet; ``journal`` opens it for each entry, ``now`` are seconds since the epoch."""
        self._journal, self._now = journal, now
        self._stream, self._app, self._since, self._trace = "", "", 0.0, ""

    def begin(self, plan: ReleasePlan, run: str = "") -> None:
        """A commit is about to be built; said again of the same build, it is one."""
        if self._stream:
            return
        self._stream, self._app, self._since = build_stream(plan.app, new_token()[:12]), plan.app, self._now()
        self._trace = (current() or begin()).trace
        tree = plan.tree
        self._write(0, BuildBegan(plan.app, plan.version, tree.commit, float(tree.commit_time), run))

    def end(self, outcome: BuildOutcome, release: str = "", error: BaseException | None = None) -> None:
        """What came of it; once, and nothing where none was begun."""
        if not self._stream:
            return
        code = error.code if isinstance(error, GopubError) else type(error).__name__ if error else ""
        ended = BuildEnded(self._app, outcome, release, code, round(max(0.0, self._now() - self._since), 3))
        self._write(1, ended)
        self._stream = ""

    def _write(self, version: int, event: BuildBegan | BuildEnded) -> None:
        try:
            journal = self._journal()
            try:
                journal.append(self._stream, version, [event], actor=whoami(), trace=self._trace)
            finally:
                journal.close()
        except GopubError as error:  # it is not counted; the release is as good
            _log.warning("the journal does not know of this build: %s", error.problem)
            self._stream = ""

"""What a plug-in brings along is held to what its door promises: whatever it does is one error that names it.

Its own errors (GopubError) pass, and those of the operating system where a backend is used, which gopub expects there.
Anything else, an answer of another form, and where the outside is asked at once, no answer in time, is told as GP968,
or as no data where a rollout is judged: that holds, and promotes nothing. Secrets stand in no text of it. What it
prints goes to standard error: standard output may be JSON that somebody reads.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import copy_context
from threading import Lock, Thread
from types import new_class
from typing import Any, TypeVar, cast, get_type_hints

from pydantic import ValidationError

from gopub.canon import bounded
from gopub.errors import GopubError
from gopub.fleet.inventory import Inventory
from gopub.health.samples import CounterSnapshot, LogCounts, NoData, RuntimeSnapshot
from gopub.health.sources import LogSource, LogTarget, MetricSource
from gopub.spec.kinds import Connection, SecretRef
from gopub.telemetry import REDACTOR
from gopub.traffic.protocol import CountingRouter, Router

FETCHED_WITHIN = 30.0
"""Seconds for a module, a secret, or a list of hosts."""
MEASURED_WITHIN = 60.0
"""Seconds for one question of the judge."""

Broken = Callable[[str], GopubError]
"""Makes the error of a plug-in of what is wrong with it."""
_Found = TypeVar("_Found", bound=type[Connection | SecretRef])
_Answer = TypeVar("_Answer")


class _Aside:
    """Standard output goes to standard error while anybody is in here, in whatever thread and in whatever order."""

    def __init__(self) -> None:
        self._lock, self._inside, self._before = Lock(), 0, sys.stdout

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before, sys.stdout = sys.stdout, sys.stderr
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                sys.stdout = self._before


ASIDE = _Aside()
"""What a plug-in prints while it is imported or opened."""


def guarded(found: _Found, door: type[Connection | SecretRef], broken: Broken) -> _Found:
    """A class over that of a plug-in, held to its door; the plug-in's own stays as its author wrote it.

    Raises:
        GopubError: GP968 nothing can be derived from it.
    """
    promised, opens = get_type_hints(door.open)["return"], found.open  # type: ignore[union-attr]
    counts = promised is Router and getattr(found, "counts", False)
    hidden, fetched = issubclass(found, SecretRef), promised in (str, Inventory)

    @functools.wraps(opens)
    def opened(self: Any, *args: object) -> object:
        with ASIDE, as_broken(broken, "its open() failed", hidden=hidden, most=FETCHED_WITHIN):
            made = in_time(lambda: opens(self, *args), FETCHED_WITHIN) if fetched else opens(self, *args)
            lacking = missing_in(made, promised) or (missing_in(made, CountingRouter) if counts else "")
        if lacking:
            raise broken(f"what its open() gives is no {promised.__name__}{lacking}")
        if promised is MetricSource:
            return Measuring(made, broken)
        if promised is LogSource:
            return Reading(made, broken)
        return made if fetched else Guarded(made, broken)

    def validated(cls: type[Any], data: object, /, **more: Any) -> object:
        with ASIDE, as_broken(broken, "its check of the keys failed", hidden=hidden, passing=ValidationError):
            return super(held, cls).model_validate(data, **more)

    body = {name: getattr(found, name) for name in ("__module__", "__qualname__", "__doc__")}
    body |= {"open": opened, "model_validate": classmethod(validated)}
    with ASIDE, as_broken(broken, "nothing can be derived from its class"):
        held: Any = new_class(found.__name__, (found,), exec_body=lambda its: its.update(body))
    return cast("_Found", held)


@contextmanager
def as_broken(
    broken: Broken, what: str, *, hidden: bool = False, most: float = 0.0, passing: type[Exception] = GopubError
) -> Iterator[None]:
    """Tell whatever a plug-in raises here; ``hidden`` where the text of an error may hold a secret."""
    try:
        yield
    except (GopubError, passing):
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is told
        if most and isinstance(error, TimeoutError):
            raise broken(f"{what}: no answer within {most:g}s") from None
        raise broken(f"{what}: {type(error).__name__ if hidden else said(error)}") from None if hidden else error


def said(error: BaseException) -> str:
    """An error on one line, without any secret that is known; its own words may fail, too."""
    try:
        text = " ".join(str(error).split())
    except Exception as another:  # noqa: BLE001 - it is somebody else's class
        text = type(another).__name__
    # Cleaned before it is cut: half a secret is not known as one.
    return bounded(REDACTOR.clean(f"{type(error).__name__}: {text}" if text else type(error).__name__))


def in_time(ask: Callable[[], _Answer], seconds: float) -> _Answer:
    """The answer of what may block for ever; it goes on blocking nobody then.

    Raises:
        TimeoutError: there is none.
    """
    answer: Future[_Answer] = Future()

    def asking() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            answer.set_exception(error)

    Thread(target=copy_context().run, args=(asking,), daemon=True).start()
    return answer.result(seconds)


def missing_in(made: object, promised: type) -> str:
    """What keeps an object from being what was promised, to follow its name; empty where nothing does."""
    if not getattr(promised, "_is_protocol", False):
        return "" if isinstance(made, promised) else f" but {type(made).__name__}"
    lacking = sorted(name for name in vars(promised) if not name.startswith("_") and not hasattr(made, name))
    return f": it has no {lacking[0]}" if lacking else ""


class Guarded:
    """A plug-in's backend, whose methods fail in words."""

    __slots__ = ("_broken", "_made")

    def __init__(self, made: Any, broken: Broken) -> None:
        self._made, self._broken = made, broken

    def __getattr__(self, name: str) -> Any:
        """Its own attribute; of a method, one that tells its failures."""
        if name.startswith("__") or name in self.__slots__:
            raise AttributeError(name)
        with as_broken(self._broken, f"its {name} failed", passing=AttributeError):
            found = getattr(self._made, name)
        if not inspect.isroutine(found):
            return found
        what = f"its {name}() failed"

        @functools.wraps(found)
        def called(*args: Any, **kwargs: Any) -> Any:
            with as_broken(self._broken, what, passing=OSError):
                answer = found(*args, **kwargs)
            return self._awaited(answer, what) if inspect.isawaitable(answer) else answer

        return called

    async def _awaited(self, answer: Awaitable[Any], what: str) -> Any:
        try:
            return await answer
        except (GopubError, OSError):
            raise
        except Exception as error:
            raise self._broken(f"{what}: {said(error)}") from error


class _Asking:
    """A plug-in's source for the judge: no data, and why, where it fails or is silent."""

    def __init__(self, made: Any, broken: Broken, within: float = MEASURED_WITHIN) -> None:
        self._made, self._broken, self._within = made, broken, within

    async def _ask(self, name: str, *args: object, like: Callable[[Any], bool]) -> Any:
        try:
            async with asyncio.timeout(self._within):
                answer = await getattr(self._made, name)(*args)
        except GopubError as error:
            return NoData(REDACTOR.clean(error.problem))
        except TimeoutError:
            return self._nothing(f"its {name}() gave no answer within {self._within:g}s")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no evidence
            return self._nothing(f"its {name}() failed: {said(error)}")
        if isinstance(answer, NoData) or like(answer):
            return answer
        return self._nothing(f"its {name}() gave {type(answer).__name__}")

    def _nothing(self, why: str) -> NoData:
        return NoData(self._broken(why).problem)


class Measuring(_Asking):
    """Counters of a plug-in."""

    async def counters(self, app: str, env: str, releases: Sequence[str], at: float) -> CounterSnapshot | NoData:
        """As the plug-in has them."""
        found: CounterSnapshot | NoData = await self._ask("counters", app, env, releases, at, like=_is(CounterSnapshot))
        return found

    async def history(
        self, app: str, env: str, releases: Sequence[str], at: float
    ) -> tuple[CounterSnapshot, ...] | NoData:
        """As the plug-in has it."""
        found: tuple[CounterSnapshot, ...] | NoData = await self._ask(
            "history", app, env, releases, at, like=lambda it: _is(tuple)(it) and all(map(_is(CounterSnapshot), it))
        )
        return found

    async def runtime(self, app: str, env: str, hosts: Sequence[str], at: float) -> RuntimeSnapshot | NoData:
        """As the plug-in has them."""
        found: RuntimeSnapshot | NoData = await self._ask("runtime", app, env, hosts, at, like=_is(RuntimeSnapshot))
        return found


class Reading(_Asking):
    """Log lines of a plug-in."""

    async def read(self, target: LogTarget, since: float) -> LogCounts | NoData:
        """As the plug-in reads them."""
        found: LogCounts | NoData = await self._ask("read", target, since, like=_is(LogCounts))
        return found


def _is(kind: type) -> Callable[[object], bool]:
    return lambda answer: isinstance(answer, kind)

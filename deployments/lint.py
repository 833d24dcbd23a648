"""A strict reader of prefect.yaml.

Prefect ignores unknown keys there, and one bad schedule makes ``prefect deploy --all`` skip every deployment with a
message that names no key. So this file is checked first, with the place of each mistake:

1. every key is known, every value of its type;
2. a schedule is exactly one of cron and interval, and its zone exists;
3. each entrypoint is ``flows/NAME.py:NAME``, the file is there and its flow is called NAME: started as NAME/NAME;
4. parameters are those of the flow;
5. the pull step enters ``$GOPUB_HOME`` of the worker, never a folder of the machine that deployed;
6. runs do not print through the worker's pipe, and scheduled ones never pile up.
"""

from __future__ import annotations

import ast
import zoneinfo
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from prefect.client.schemas.schedules import CronSchedule
from pydantic import Field, ValidationError, model_validator

from gopub.paths import PROJECT_FILE
from gopub.spec.base import Model
from gopub.spec.explain import Explainer, at
from gopub.spec.fields import Name, Switch, Whole, Word, refuse
from gopub.spec.finding import read_text
from gopub.spec.loader import explained, together
from gopub.spec.reading import read_tree
from gopub.spec.tree import Path as TreePath
from gopub.spec.tree import plain

PULL: tuple[Mapping[str, Any], ...] = (
    {"prefect.deployments.steps.set_working_directory": {"directory": "{{ $GOPUB_HOME }}"}},
)
_CODE = "GP912"
_PLACES = 8
"""Of a deployment with a schedule: more than the runs that begin in the five minutes for which a dead one keeps its."""


class Schedule(Model):
    """When a deployment runs by itself."""

    scalar_is_first = False

    cron: Word | None = None
    """A cron line."""
    interval: Whole | None = Field(None, ge=1)
    """Seconds between two runs."""
    anchor_date: Word | None = None
    """The moment that an interval counts from."""
    timezone: Word | None = None
    """The zone of a cron line."""
    slug: Name
    """The schedule's name; a schedule keeps its identity by it when it changes."""
    active: Switch = True
    """Whether it runs."""
    parameters: Mapping[str, Any] = {}
    """Parameters of these runs."""

    @model_validator(mode="after")
    def _one_schedule(self) -> Self:
        if (self.cron is None) == (self.interval is None):
            raise refuse(_CODE, "a schedule is either a cron line or an interval", "")
        if (self.interval is None) != (self.anchor_date is None):
            raise refuse(_CODE, "an interval and an anchor_date go together", "without it each set-up moves the runs")
        if self.timezone is not None and self.timezone not in zoneinfo.available_timezones():
            raise refuse(_CODE, f"{self.timezone!r} is not a time zone", 'write it as "Asia/Shanghai"')
        if self.cron is not None:
            _check_cron(self.cron)
        return self


def _check_cron(line: str) -> None:
    try:
        CronSchedule(cron=line)
    except ValidationError:
        raise refuse(_CODE, f"{line!r} is not a cron line", 'five fields, such as "*/5 * * * *"') from None


class Limit(Model):
    """How many runs of a deployment may be active, and what becomes of the others."""

    limit: Whole = Field(ge=1)
    """At most so many."""
    collision_strategy: Literal["ENQUEUE", "CANCEL_NEW"] = "ENQUEUE"
    """Wait, or end at once."""
    grace_period_seconds: Whole | None = Field(default=None, ge=60)
    """How long a run that does not start keeps its place."""


class Pool(Model):
    """Where runs are executed."""

    name: Name
    """The work pool."""
    work_queue_name: Name = "default"
    """The queue in it."""
    job_variables: Mapping[str, Any] = {}
    """What the worker gives to the run's process."""


class Deployment(Model):
    """A flow that can be started on the server."""

    scalar_is_first = False

    name: Name
    """Its name; that of its flow, too."""
    entrypoint: Word
    """The flow: flows/NAME.py:NAME."""
    description: Word
    """What people read in the UI."""
    tags: tuple[Name, ...]
    """Tags of its runs."""
    parameters: Mapping[str, Any] = {}
    """Parameters that differ from the flow's defaults."""
    work_pool: Pool
    """Where it runs."""
    concurrency_limit: Limit | None = None
    """How many at a time."""
    schedules: tuple[Schedule, ...] = ()
    """When it runs by itself."""


class PrefectFile(Model):
    """The whole of prefect.yaml."""

    scalar_is_first = False

    name: Name
    """The project."""
    pull: tuple[Mapping[str, Any], ...]
    """What a worker does before a run."""
    definitions: Mapping[str, Any] = {}
    """Values that are used several times."""
    deployments: tuple[Deployment, ...]
    """The deployments."""


def load_deployments(root: Path) -> PrefectFile:
    """Read and check the prefect.yaml of a project.

    Raises:
        SpecError: what is wrong with it; several mistakes together as an ErrorGroup.
    """
    path = root / PROJECT_FILE
    return parse_deployments(read_text(path), str(path), root)


def parse_deployments(text: str, file: str, root: Path) -> PrefectFile:
    """Read and check a prefect.yaml from text; flows are looked for below ``root``.

    Raises:
        SpecError: what is wrong with the text; several mistakes together as an ErrorGroup.
    """
    tree = read_tree(text, file)
    try:
        read = PrefectFile.model_validate(plain(tree))
    except ValidationError as error:
        raise together(explained(error, Explainer(tree, PrefectFile))) from None
    errors = [at(tree, path, _CODE, problem, hint) for path, problem, hint in _problems(read, root)]
    if errors:
        raise together(errors)
    return read


_Problem = tuple[TreePath, str, str]


def _problems(read: PrefectFile, root: Path) -> Iterator[_Problem]:
    if read.pull != PULL:
        yield ("pull",), "the pull step is not the one that enters $GOPUB_HOME", f"write {list(PULL)}"
    names = [one.name for one in read.deployments]
    for index, one in enumerate(read.deployments):
        path: TreePath = ("deployments", index)
        if names.index(one.name) != index:
            yield (*path, "name"), f"two deployments are called {one.name!r}", ""
        yield from _flow_problems(one, path, root)
        yield from _run_problems(one, path)


def _flow_problems(one: Deployment, path: TreePath, root: Path) -> Iterator[_Problem]:
    wanted = f"flows/{one.name}.py:{one.name}"
    if one.entrypoint != wanted:
        yield (*path, "entrypoint"), f"{one.entrypoint!r} is not the flow of {one.name}", f"write {wanted}"
        return
    parameters = flow_parameters(root / "flows" / f"{one.name}.py", one.name)
    if parameters is None:
        yield (*path, "entrypoint"), f"flows/{one.name}.py holds no flow called {one.name!r}", ""
        return
    for place, name in _given_parameters(one):
        if name not in parameters:
            yield (*path, *place, name), f"{one.name} has no parameter {name!r}", f"it has {', '.join(parameters)}"


def _given_parameters(one: Deployment) -> Iterator[tuple[TreePath, str]]:
    yield from ((("parameters",), name) for name in one.parameters)
    for index, schedule in enumerate(one.schedules):
        yield from ((("schedules", index, "parameters"), name) for name in schedule.parameters)


def _run_problems(one: Deployment, path: TreePath) -> Iterator[_Problem]:
    if one.work_pool.job_variables.get("stream_output") is not False:
        problem = "a run would end at its next log line when its worker dies"
        yield (*path, "work_pool"), problem, "set stream_output: false in job_variables"
    hint = f"set concurrency_limit: {{limit: {_PLACES}, collision_strategy: CANCEL_NEW}}"
    piles_up = one.concurrency_limit is None or one.concurrency_limit.collision_strategy != "CANCEL_NEW"
    if one.schedules and piles_up:
        problem = "late runs would pile up while no worker is there"
        yield (*path, "schedules"), problem, hint
    if one.schedules and one.concurrency_limit and one.concurrency_limit.limit < _PLACES:
        problem = "runs that were killed would keep out the next ones: each keeps its place for five minutes"
        yield (*path, "concurrency_limit"), problem, hint


def flow_parameters(file: Path, name: str) -> list[str] | None:
    """The parameters of ``@flow(name=NAME) async def NAME``, read without importing; None when it is not there."""
    if not file.is_file():
        return None
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.AsyncFunctionDef) and node.name == name and _is_flow(node, name):
            return [argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)]
    return None


def _is_flow(node: ast.AsyncFunctionDef, name: str) -> bool:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id == "flow":
            named = [word.value for word in decorator.keywords if word.arg == "name"]
            return all(isinstance(value, ast.Constant) and value.value == name for value in named)
    return False

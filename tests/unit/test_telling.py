"""An error that gopub explains is one line in Prefect's logs; anything else keeps its traceback."""

from __future__ import annotations

import inspect
import logging
from typing import get_args

import pytest

from flows import approve, deploy, promote, recover, release, rollback, rollout
from gopub.errors import GopubError, RefusedError
from gopub.telemetry import REDACTOR
from tasks.telling import in_one_line, plainly

FLOWS = (
    approve.approve,
    deploy.deploy,
    promote.promote,
    recover.recover,
    release.release,
    rollback.rollback,
    rollout.rollout,
)


def raised(error: Exception) -> None:
    raise error


def test_what_a_chart_is_made_of_is_no_parameter_of_its_runs() -> None:
    for flow, parts in ((deploy.deploy, {"boxes", "releasing", "rolling_out"}), (release.release, {"boxes"})):
        whole = inspect.signature(flow.fn.__wrapped__).parameters
        given = inspect.signature(flow.fn).parameters
        assert set(whole) - set(given) == parts
        assert set(flow.parameters.properties) == set(given)


@pytest.mark.parametrize("name", ["prefect.flow_runs", "prefect.task_runs", "prefect.engine"])
def test_a_traceback_of_ours_is_one_line_and_one_of_others_stays(
    name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger(name)
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    monkeypatch.setattr(logger, "propagate", False)
    REDACTOR.learn("correct-horse")
    for error in (RefusedError("GP730", "1 is older\nthan correct-horse", hint="go back"), ValueError("a fault")):
        try:
            raised(error)
        except (GopubError, ValueError):
            logger.exception("Encountered exception during execution: %r", error)
            logger.exception("Engine execution exited with unexpected exception")
    assert [record.getMessage() for record in caplog.records] == [
        "GP730 1 is older; than **********; hint: go back",
        "Encountered exception during execution: ValueError('a fault')",
        "Engine execution exited with unexpected exception",
    ]
    assert "Traceback" in caplog.text.partition("a fault")[2]
    assert "Traceback" not in caplog.text.partition("a fault")[0]


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_every_flow_ends_plainly_and_its_parameters_keep_their_types(flow) -> None:
    assert flow.fn.__module__ != "tasks.telling" and hasattr(flow.fn, "__wrapped__")
    kinds = [given.annotation for given in inspect.signature(flow.fn).parameters.values()]
    assert not any(isinstance(kind, str) for kind in kinds)


def test_addresses_are_checked_before_a_run_is_kept() -> None:
    for flow in (deploy.deploy, release.release):
        kind = inspect.signature(flow.fn).parameters["repository"].annotation
        assert get_args(kind)[0] is str
        assert "pattern" in flow.parameters.properties["repository"]


async def test_who_awaits_a_flow_gets_the_error_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuses() -> None:
        raise RefusedError("GP730", "older", hint="go back")

    with pytest.raises(RefusedError):
        await plainly(refuses)()
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "the-run")  # as a worker tells the process that it starts for it
    state = await plainly(refuses)()
    assert (state.type.value, state.message) == ("FAILED", in_one_line(RefusedError("GP730", "older", hint="go back")))  # type: ignore[attr-defined] # Prefect's state


def test_that_a_box_went_well_stands_between_no_lines_of_the_story(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("prefect.task_runs", "prefect.flow_runs"):
        logger = logging.getLogger(name)
        monkeypatch.setattr(logger, "handlers", [caplog.handler])
        monkeypatch.setattr(logger, "propagate", False)
        logger.setLevel(logging.INFO)
        for line in ("Finished in state Completed()", "Finished in state Failed('no room')"):
            logger.info(line)
    said = [(record.name.rpartition(".")[2], record.getMessage()) for record in caplog.records]
    assert said == [
        ("task_runs", "Finished in state Failed('no room')"),
        ("flow_runs", "Finished in state Completed()"),
        ("flow_runs", "Finished in state Failed('no room')"),
    ]

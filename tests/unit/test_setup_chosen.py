"""What a person chose of a deployment is given back where Prefect's command undid it, and nothing else is touched."""

from __future__ import annotations

from uuid import uuid4

import pytest
from prefect.client.schemas.objects import GlobalConcurrencyLimit
from prefect.client.schemas.responses import DeploymentResponse

from deployments.setup.chosen import Choice, missing


def deployed(*, paused: bool = False, places: int = 0) -> DeploymentResponse:
    limit = GlobalConcurrencyLimit(name="few", limit=places, slot_decay_per_second=0.0) if places else None
    return DeploymentResponse(
        id=uuid4(), name="recover", flow_id=uuid4(), paused=paused, global_concurrency_limit=limit
    )


@pytest.mark.parametrize(
    ("was", "now", "wanted"),
    [
        (Choice(paused=True, places=0), deployed(), {"paused": True}),
        (Choice(paused=True, places=0), deployed(paused=True), None),
        (Choice(paused=False, places=0), deployed(paused=True), None),
        (Choice(paused=False, places=12), deployed(places=8), {"concurrency_limit": 12}),
        (Choice(paused=False, places=1), deployed(places=8), None),
        (Choice(paused=False, places=12), deployed(), None),
        (Choice(paused=True, places=12), deployed(places=8), {"paused": True, "concurrency_limit": 12}),
    ],
)
def test_what_was_undone_is_set_anew(was: Choice, now: DeploymentResponse, wanted: dict[str, object] | None) -> None:
    update = missing(was, now)
    assert (update.model_dump(include=update.model_fields_set) if update else None) == wanted


def test_of_two_choices_the_safer_pause_and_the_more_places_hold() -> None:
    assert Choice(paused=True, places=3).over(Choice(paused=False, places=9)) == Choice(paused=True, places=9)
    assert Choice.of(deployed(paused=True, places=4)) == Choice(paused=True, places=4)

"""What is said of a Prefect server that does not answer: clients of the API read it, and its password is not theirs."""

from __future__ import annotations

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.engine import answering
from gopub.errors import GopubError


def told(url: str, said: str) -> str:
    with temporary_settings({PREFECT_API_URL: url}), pytest.raises(GopubError) as caught, answering():
        raise OSError(said)
    return f"{caught.value.code} {caught.value.problem}"


def test_the_password_of_its_address_is_in_no_text() -> None:
    url = "http://bob:hunter2%2Fhunter2@prefect.example:4200/api"
    where = "GP918 the Prefect server at http://prefect.example:4200/api does not answer: OSError "
    masked = "nothing at http://bob:**********@prefect.example:4200/api by **********"
    assert told(url, f"nothing at {url} by hunter2/hunter2") == where + masked


def test_control_without_one_all_is_told() -> None:
    where = "GP918 the Prefect server at http://prefect.example:4200/api does not answer: OSError "
    assert told("http://prefect.example:4200/api", "nobody by alice/alice") == where + "nobody by alice/alice"

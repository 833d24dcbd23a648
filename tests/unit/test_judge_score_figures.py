"""Imagined figures that nothing could have measured are refused, and not computed with."""

from __future__ import annotations

import math

import pytest

from gopub.cli.judge import score
from gopub.errors import GopubError

NONE = {"stable_p95": None, "pauses": None, "growth": None, "slo_p95": None, "slo_errors": None}
REST = {"errors": "0%", "stable_errors": "0%", "profile": "default", "as_json": False}


@pytest.mark.parametrize("bad", [{"slo_p95": "0ms"}, {"growth": math.nan}, {"growth": math.inf}, {"pauses": math.inf}])
def test_a_figure_that_is_none_is_refused(bad):
    with pytest.raises(GopubError) as refused:
        score(p95="100ms", **{**NONE, **REST, **bad})
    assert refused.value.code == "GP121"


def test_others_are_taken(capsys):
    score(p95="100ms", **{**NONE, **REST, "slo_p95": "1ms", "growth": -5.0, "pauses": 0.0})
    assert "score" in capsys.readouterr().out

"""Whose a thing on the server is, and what a set-up may therefore do to it."""

from __future__ import annotations

import pytest

from deployments.setup.owned import Found, Mark, labelled, sorted_out, tagged

OURS = Mark("here:/srv/projects.yaml", "form")
THEIRS = Mark("there:/srv/projects.yaml", "form")


def test_what_is_wanted_is_made_ours_is_looked_at_and_what_is_not_wanted_any_more_goes():
    found = {"kept": Found(OURS, 1), "old": Found(OURS, 2)}
    done = sorted_out({"new": 0, "kept": 0}, found, OURS)
    assert (done.make, done.look_at, done.remove, done.others) == (("new",), ("kept",), ("old",), {})


def test_nothing_of_anybody_else_is_changed_or_removed_whatever_it_is_called():
    found = {
        "same": Found(THEIRS, 1),
        "nobody's": Found(None, 2),
        "deploy orders to prod": Found(THEIRS, 3),
        "automation": Found(Mark(OURS.owner, "rule"), 4),
    }
    done = sorted_out({"same": 0, "nobody's": 0}, found, OURS)
    assert (done.make, done.look_at, done.remove) == ((), (), ())
    assert done.others == {"same": THEIRS.owner, "nobody's": ""}


def test_what_another_gopub_made_is_taken_over_when_asked_but_not_what_bears_no_mark_and_nothing_is_removed():
    found = {"same": Found(THEIRS, 1), "nobody's": Found(None, 2), "theirs": Found(THEIRS, 3)}
    done = sorted_out({"same": 0, "nobody's": 0}, found, OURS, take_over=True)
    assert (done.look_at, done.remove, done.others) == (("same",), (), {"nobody's": ""})


@pytest.mark.parametrize("owner", ["here:/srv/a b/projects.yaml", "trade", "ü:/x:y"])
def test_a_mark_is_read_back_from_labels_and_from_tags(owner: str):
    mark = Mark(owner, "form")
    assert labelled({"prefect.flow.id": "x", **mark.labels()}) == mark
    assert tagged(["gopub", mark.tag()]) == mark


def test_without_a_mark_nothing_is_anybodys():
    assert labelled({"gopub.setup": "x"}) is None
    assert labelled({}) is None
    assert tagged(["gopub", "gopub-setup:", "gopub-setup:form", "gopub-setup::x"]) is None

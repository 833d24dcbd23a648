"""A rollout on one page: how it stands in one line, what comes next and when, and how far it has come."""

from __future__ import annotations

import pytest

from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.plan.model import Outcome
from gopub.telemetry import REDACTOR
from gopub.views.board import Scene, board, headline, scene, share
from gopub.views.pages import figures_table
from gopub.views.verdict import Figures
from tests.unit.views_world import NEW_FOLDER, moving

OPENED = 1_700_000_000.0
"""22:13:20 UTC."""
MOVING = moving("r-1", "hello", "prod")
BAKED = ev.Judged(0, "HOLD", 7, "bakes", {}, observed=30.0)
PASSED = ev.StepPassed(0)
BACK = ev.GoingBack(Outcome.ROLLED_BACK, 3, "errors")


def of(events: list[ev.Event], *asked: ev.Asked, after: float = 0.0) -> Scene:
    entries = [Entry(n, "rollout/r-1", n, one, "ann", "", OPENED + n, "") for n, one in enumerate(events)]
    return scene(entries, asked, OPENED + len(events) + after)


@pytest.mark.parametrize(
    ("events", "said"),
    [
        (MOVING[:1], "asks whether the release is admitted"),
        (MOVING[:3], "admitted, about to be planned"),
        (MOVING[:5], "step 1 of 2, 25%: brings the release to the hosts, 0 of 2 have it"),
        (MOVING[:7], "step 1 of 2, 25%: switches its hosts, 0 of 1 run the new release"),
        (MOVING, "step 1 of 2, 25%: bakes, 0s of 1m observed"),
        ([*MOVING, BAKED], "step 1 of 2, 25%: bakes, 30s of 1m observed"),
        ([*MOVING[:4], ev.Waiting(0, "step 1 waits for the window Mon-Fri 22:00-24:00 UTC")],
         "step 1 of 2, 25%: waits for the window Mon-Fri 22:00-24:00 UTC since 22:13 UTC"),
        ([*MOVING, BACK], "step 1 of 2, 25%: going back since 22:13 UTC: errors"),
        ([*MOVING, BACK, ev.TrafficOff(OPENED), ev.Closed(Outcome.ROLLED_BACK, "errors")],
         "rolled back at 22:13 UTC: errors"),
    ],
)  # fmt: skip
def test_the_headline_says_how_it_stands(events: list[ev.Event], said: str):
    assert headline(of(events)).replace("step 1 of 2, 25%: rolled", "rolled") == said


def test_a_hold_stands_over_what_it_does():
    hold = ev.Asked("hold", "lunch", "ann", OPENED + 60)
    assert headline(of(MOVING, hold)) == "step 1 of 2, 25%: held by ann since 22:14 UTC: lunch"
    resumed = ev.Asked("resume", "", "ann", OPENED + 70)
    assert headline(of(MOVING, hold, resumed)) == "step 1 of 2, 25%: bakes, 0s of 1m observed"


def test_a_baked_step_says_whom_it_waits_for():
    done = ev.Judged(0, "PROMOTE", 7, "good", {}, observed=60.0)
    later = [done] * 100
    waits = "step 1 of 2, 25%: baked; step 2 waits for the approval of ops since 22:13 UTC"
    assert headline(of([*MOVING, *later])) == waits, "since the bake was over, not since the last look"


def test_a_failure_of_a_host_stands_in_its_row_until_it_did_it_after_all():
    failed = ev.HostFailed("app2", "stage", "GP340", "no room | here")
    before, after = board(of([*MOVING[:5], failed])), board(of([*MOVING[:5], failed, ev.HostStaged("app2")]))
    assert "| app2 | 1.0.0 (aaaaaaaaaaaa) | stable | not there yet | GP340 no room \\| here |" in before.text
    assert "GP340" not in after.text
    owed = ev.HostOwed("app1", "does not answer")
    assert "| does not answer |" in board(of([*MOVING, BACK, owed])).text


def test_the_bar_never_runs_backwards_and_ends_full_where_it_was_promoted():
    second: list[ev.Event] = [
        BAKED, PASSED,
        ev.SwitchIntended(("app2",), NEW_FOLDER, "canary"), ev.HostSwitched("app2", NEW_FOLDER, "canary"),
        ev.StepReached(1, OPENED), ev.Judged(1, "HOLD", 7, "bakes", {}, observed=15.0), ev.StepPassed(1),
        ev.Settling(), ev.Closed(Outcome.PROMOTED),
    ]  # fmt: skip
    events = [*MOVING, *second]
    shares = [share(of(events[:number]).state) for number in range(1, len(events) + 1)]
    assert shares == sorted(shares)
    assert (shares[0], shares[len(MOVING) - 1], shares[-2], shares[-1]) == (0.0, 18.5, 95.0, 100.0)
    assert share(of([*MOVING, BACK]).state) == 18.5, "as far as it had come"


def test_what_comes_next_has_its_time():
    text = board(of([*MOVING, BAKED])).text
    assert (
        "Next: step 2 (2 hosts, 100%) at 22:14 UTC at the earliest, and step 2 waits for the approval of ops;" in text
    )
    assert "it goes back at 23:13 UTC if it is not through by then" in text


def test_a_secret_in_a_reason_or_in_a_hosts_words_stands_on_no_page():
    """With a character of Markdown in it too: escaped, it would look like another text."""
    secret = "pass_word*of-[prod]"
    said = ev.HostFailed("app2", "stage", "GP340", f"login {secret} refused")
    assert "pass" in board(of([*MOVING[:5], said])).text, "control: it is no secret yet"
    REDACTOR.learn(secret)
    page = board(of([*MOVING[:5], said], ev.Asked("hold", f"lunch {secret}", "ann", OPENED)))
    assert "pass" not in page.text + page.description
    assert "lunch" in page.text
    assert "lunch" in page.description


def test_what_a_source_of_counts_says_is_no_markup():
    table = figures_table(Figures(True, 1, 0, 2, 0, None, None, "<img src=x> **bold**", None, "", ()))
    assert "&lt;img src=x\\> \\*\\*bold" in table

"""A rollout on one page: how it stands in one line, what comes next and when, and how far it has come."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gopub.journal import events as ev
from gopub.journal.entry import Entry
from gopub.plan.model import Outcome
from gopub.telemetry import REDACTOR
from gopub.views.board import Scene, Ways, asks_for, board, headline, scene, share
from gopub.views.pages import figures_table, keys_of
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
        "**Next:** step 2 (2 hosts, 100%) at 22:14 UTC at the earliest, and step 2 waits for the approval of ops;"
        in text
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


def test_it_leads_to_the_pages_of_its_release_and_plan():
    where = {"the release": "http://ui/artifacts/key/hello-release"}
    assert "See also [the release](http://ui/artifacts/key/hello-release)" in board(of(MOVING), "", Ways(where)).text
    assert "See also" not in board(of(MOVING)).text
    state = of(MOVING).state
    assert keys_of(state, 1) == {"the plan": "hello-prod-plan"}
    assert keys_of(state, 2) == {"the plan": "hello-prod-plan", "its runs": "hello-prod-runs"}


@pytest.mark.parametrize(
    ("events", "said"),
    [
        (MOVING, "This was so at 22:43 UTC, and is drawn again at every look: where that is minutes ago,"),
        ([*MOVING[:4], ev.Waiting(0, "step 1 waits for the window Mon-Fri 22:00-24:00 UTC")],
         "This was so at 22:43 UTC, and is drawn again when it goes on: nobody has to drive it while it waits"),
    ],
)  # fmt: skip
def test_a_page_that_a_dead_driver_left_says_when_it_was_so(events: list[ev.Event], said: str):
    assert said in board(of(events, after=1790.0)).text
    over = [*MOVING, BACK, ev.TrafficOff(OPENED), ev.Closed(Outcome.ROLLED_BACK, "errors")]
    assert "This was so" not in board(of(over)).text, "control: what is over changes no more"


BAKED_WHOLE = ev.Judged(0, "PROMOTE", 7, "good", {}, observed=60.0)
GATED = [
    replace(one, plan=replace(one.plan, steps=(replace(one.plan.steps[0], approve="ops"), one.plan.steps[1])))
    if isinstance(one, ev.Planned) else one
    for one in MOVING[:4]
]  # fmt: skip
FORM = "http://ui/runs/flow-run/1"


def test_what_waits_for_an_approval_leads_to_its_form_first_of_all():
    """It said when the next step comes "at the earliest", which was now, and where to approve was to be searched."""
    scene = of([*MOVING, BAKED_WHOLE])
    head, first, *_ = board(scene, "", Ways(form=FORM)).text.split("\n\n")
    assert head == "## step 1 of 2, 25%: baked; step 2 waits for the approval of ops since 22:13 UTC"
    assert first == (
        f"**Next:** step 2 (2 hosts, 100%) begins once ops approves: approve it in **[the form]({FORM})** or by "
        "`gopub promote`; to say no, choose abort there, or `gopub abort`; it goes back at 23:13 UTC if nobody does"
    )
    assert "| 2 | 2 hosts, 100% | 30s | ops | waits for its approval |" in board(scene).text
    assert "form](" not in board(scene).text, "control: where no such run is on this server, nothing leads to it"


@pytest.mark.parametrize(
    ("events", "said", "step"),
    [
        (MOVING, [], None),
        ([*MOVING, BAKED], [], None),
        ([*MOVING, BAKED_WHOLE], [], 1),
        ([*MOVING, BAKED_WHOLE], [ev.Asked("promote:1", "", "ann", OPENED)], None),
        ([*MOVING, BAKED_WHOLE], [ev.Asked("promote:0", "", "ann", OPENED)], 1),
        ([*MOVING, BAKED_WHOLE, BACK], [], None),
        ([*MOVING, BAKED_WHOLE, PASSED], [], None),
        ([*GATED, ev.Waiting(0, "step 1 waits for the approval of ops")], [], 0),
        (GATED, [], None),
        ([*MOVING[:4], ev.Waiting(0, "step 1 waits for the window Mon-Fri 22:00-24:00 UTC")], [], None),
    ],
)  # fmt: skip
def test_it_is_known_which_step_waits_for_an_approval(events: list[ev.Event], said: list[ev.Asked], step: int | None):
    assert asks_for(of(events, *said)) == step


def test_who_reads_of_a_hold_is_told_how_it_ends():
    hold = ev.Asked("hold", "lunch", "ann", OPENED)
    assert board(of(MOVING, hold)).text.split("\n\n")[1].endswith("unless somebody resumes it (`gopub resume`)")
    paused = ev.Asked("hold", "suspended", "Prefect", OPENED, run="11111111")
    assert "(`gopub resume`, or Resume on its run's page)" in board(of(MOVING, paused)).text


def test_what_is_over_says_what_is_left_to_do():
    """Beside a release that somebody withdrew stood in bold that nothing speaks against it, as if it went on."""
    by_hand = ev.GoingBack(Outcome.WITHDRAWN, 0, "aborted: lunch")
    off = ev.TrafficOff(OPENED)
    end = ev.Closed(Outcome.WITHDRAWN, "aborted: lunch", ("app1",), ("edge1",))
    over = [*MOVING, BAKED, by_hand, off, ev.HostOwed("app1", "away"), end]
    text = board(of(over)).text
    assert "**Next:** app1 and edge1 could not be confirmed: `gopub recover` once they answer" in text
    assert "The last verdict before: HOLD by rule 7: bakes" in text
    assert "**Next:** nothing has to be done: the release is not blamed, and may be rolled out again" in text
    assert "**HOLD" in board(of([*MOVING, BAKED])).text, "control"


def test_where_prefect_did_not_say_which_pages_it_has_the_page_says_so():
    assert "Links may be missing here" in board(of(MOVING), "", Ways(known=False)).text
    assert "missing" not in board(of(MOVING)).text

"""What each forge is asked, held to its published schema; and what its answers come to, the hostile ones first."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deployments.writeback.apis import APIS, open_api
from deployments.writeback.apis.asking import MOST_BYTES, Asker, AwayError
from deployments.writeback.apis.protocol import Access, Answer
from deployments.writeback.model import (
    CommitStatus,
    DeploymentRecord,
    Report,
    Stand,
    described,
    kept,
    key_of,
    report_of,
)
from gopub.clock import ManualClock, SystemClock
from gopub.telemetry import REDACTOR
from tests.support.forges import KNOWN, PROJECT, TOKEN, Forge, endless, forge, slowly

KINDS = ("gitlab", "github", "gitea")
PAGE = "https://prefect.example/runs/flow-run/1"


@pytest.fixture(params=KINDS)
def there(request: pytest.FixtureRequest) -> Iterator[Forge]:
    with forge(request.param) as made:
        yield made


@pytest.fixture
def github() -> Iterator[Forge]:
    with forge("github") as made:
        yield made


@pytest.fixture
def gitlab() -> Iterator[Forge]:
    with forge("gitlab") as made:
        yield made


def status(state: Stand = Stand.RUNNING, commit: str = KNOWN, text: str = "2 is being rolled out") -> CommitStatus:
    return CommitStatus(commit, "gopub/lab", state, text, PAGE)


def record(state: Stand = Stand.RUNNING, name: str = "r1") -> DeploymentRecord:
    return DeploymentRecord(KNOWN, "lab", name, state, "2 is being rolled out", PAGE)


async def tell(there: Forge, report: Report, handle: str = "", *, tried: bool = False, token: str = TOKEN,
               project: str = PROJECT) -> Answer:  # fmt: skip
    return await open_api(Access(there.kind, there.url, project, token)).tell(report, handle, tried=tried)


@pytest.mark.parametrize("state", [one for one in Stand if one is not Stand.INACTIVE])
async def test_each_state_of_a_commit_is_one_that_the_forge_knows(there: Forge, state: Stand):
    assert await tell(there, status(state)) == Answer(taken=True)
    wanted = {"gitlab": state.value, "github": GITHUB[state], "gitea": GITHUB[state]}[there.kind]
    assert there.told(KNOWN) == [wanted]
    (said,) = there.statuses[KNOWN, "gopub/lab"]
    assert (said["target_url"], said["description"]) == (PAGE, "2 is being rolled out")


GITHUB = {Stand.PENDING: "pending", Stand.RUNNING: "pending", Stand.SUCCESS: "success", Stand.FAILED: "failure",
          Stand.CANCELED: "error"}  # fmt: skip


async def test_what_a_forge_does_not_know_is_refused_by_these_servers(there: Forge):
    """The control of all others: a wrong state, a key too many and a text too long are no yes."""
    bad = status(text="x" * 2000)
    assert not (await tell(there, bad)).taken
    assert there.told(KNOWN) == []


@pytest.mark.parametrize("kind", ["gitlab", "github"])
async def test_a_record_is_made_once_and_then_moved_on(kind: str):
    with forge(kind) as there:
        first = await tell(there, record())
        assert (first.taken, first.handle) == (True, "1")
        assert (await tell(there, record(Stand.SUCCESS), "1")).taken
        (made,) = there.deployments
        assert made["environment"] == "lab"
        stands = {"gitlab": made.get("status"), "github": made.get("standing")}[kind]
        assert stands == {"gitlab": "success", "github": ["in_progress", "success"]}[kind]


@pytest.mark.parametrize("kind", ["gitlab", "github"])
async def test_a_record_whose_id_was_lost_is_found_again(kind: str):
    """The process was killed between the forge's yes and the row."""
    with forge(kind) as there:
        await tell(there, record())
        again = await tell(there, record(Stand.SUCCESS), tried=True)
        assert (again.taken, again.handle, len(there.deployments)) == (True, "1", 1)
        await tell(there, record(Stand.SUCCESS))
        assert len(there.deployments) == 2, "control: without looking it is made twice"


async def test_records_of_the_same_commit_are_told_apart_on_github(github: Forge):
    await tell(github, record(name="r1"))
    answer = await tell(github, record(name="r2"), tried=True)
    assert answer.handle == "2"


async def test_a_deployment_whose_status_was_not_taken_keeps_its_id(github: Forge):
    made = github.answer
    github.answer = lambda *asked: made(*asked) if "statuses" not in asked[1] else (502, {}, {})  # type: ignore[method-assign]
    answer = await tell(github, record())
    assert (answer.again, answer.handle) == (True, "1")


@pytest.mark.parametrize("state", [Stand.PENDING, Stand.RUNNING])
async def test_gitlabs_refusal_to_go_where_it_is_already_is_a_yes(gitlab: Forge, state: Stand):
    for _ in range(2):
        assert (await tell(gitlab, status(state))).taken
    gitlab.answers.append((400, {"message": "Cannot transition status via :run from :success"}, {}))
    assert not (await tell(gitlab, status())).taken, "control: another state is none"
    first = await tell(gitlab, record())
    assert (await tell(gitlab, record(), first.handle)).taken


def test_who_has_no_such_thing_is_not_asked_for_it():
    access = Access("", "http://127.0.0.1:1", PROJECT, TOKEN)
    takes = {kind: [APIS[kind](access).takes(one) for one in (status(), record(), record(Stand.INACTIVE))]
             for kind in KINDS}  # fmt: skip
    assert takes == {"gitlab": [True, True, False], "github": [True, True, True], "gitea": [True, False, False]}


@pytest.mark.parametrize(
    ("answer", "pause"),
    [
        ((500, {}, {}), 0.0), ((502, b"<html>", {}), 0.0), ((503, {}, {"retry-after": "30"}), 30.0),
        ((429, {"message": "too many"}, {"retry-after": "7"}), 7.0), ((429, {}, {}), 0.0),
        ((403, {"message": "secondary rate limit"}, {"retry-after": "60"}), 60.0),
        ((429, {}, {"retry-after": "999999"}), 3600.0),
        ((429, {}, {"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}), 0.0),
        ((503, {}, {"retry-after": "9" * 400}), 0.0), ((200, b"<html>a page</html>", {}), 0.0),
    ],
)  # fmt: skip
async def test_what_is_over_soon_is_asked_again(github: Forge, answer, pause: float):
    github.answers.append(answer)
    told = await tell(github, record())
    assert (told.taken, told.again, told.pause) == (False, True, pause)


async def test_a_limit_that_is_used_up_is_waited_for_until_its_reset(github: Forge):
    clock = ManualClock()
    github.answers.append((403, {}, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(clock.now()) + 90)}))
    asker = Asker(Access("github", github.url, PROJECT, TOKEN), {}, clock)
    answer = asker.no(await asker.ask("POST", "/x", {}))
    assert (answer.again, answer.pause) == (True, 90.0)


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ({"token": "forge-token-wrong"}, "it answers 401"), ({"project": "trade/renamed"}, "it answers 404"),
        ({"report": status(commit="d" * 40)}, "No commit found for SHA"),
    ],
)  # fmt: skip
async def test_what_is_refused_is_told_and_not_asked_again(github: Forge, case, says: str):
    answer = await tell(github, **{"report": status(), **case})
    assert (answer.taken, answer.again) == (False, False)
    assert says in answer.says


@pytest.mark.parametrize("code", [301, 302, 307, 308])
async def test_a_redirect_takes_the_token_nowhere(there: Forge, code: int):
    with forge(there.kind) as elsewhere:
        there.answers.append((code, b"", {"location": f"{elsewhere.url}/latest/meta-data/"}))
        answer = await tell(there, status())
        assert elsewhere.requests == []
    assert (answer.taken, answer.again) == (False, False)
    assert f"it sends elsewhere ({code}), which is not followed" in answer.says


async def test_an_answer_of_a_byte_a_second_is_given_up(github: Forge):
    github.raw = slowly
    clock = SystemClock()
    asker, since = Asker(Access("github", github.url, PROJECT, TOKEN), {}, within=1.0), clock.now()
    with pytest.raises(AwayError, match="no answer within 1s"):
        await asker.ask("POST", "/x", {})
    assert clock.now() - since < 20.0


async def test_of_ten_megabytes_the_first_one_is_read(github: Forge):
    github.raw = endless
    asker = Asker(Access("github", github.url, PROJECT, TOKEN), {})
    said = await asker.ask("POST", "/x", {})
    assert (said.status, said.body, len(said.text)) == (201, None, MOST_BYTES)
    assert (await tell(github, record())).again, "an answer without an id made no record that is known"


async def test_a_token_that_is_echoed_is_not_told_on(github: Forge):
    REDACTOR.learn(TOKEN)
    github.answers.append((422, {"message": f"bad credentials {TOKEN}\x1b[2J\n next"}, {}))
    answer = await tell(github, status())
    assert TOKEN not in answer.says
    assert "\x1b" not in answer.says
    assert "\n" not in answer.says
    assert "bad credentials" in answer.says, "control: the rest of it is"
    assert TOKEN not in repr(Access("github", github.url, PROJECT, TOKEN))


async def test_nobody_there_is_away_and_says_so():
    with forge("github") as gone:
        pass
    answer = await tell(gone, status())
    assert answer.again
    assert answer.says.startswith("no connection: refused, nothing listens at that address and port")


def test_a_description_is_one_line_without_secrets_that_every_forge_takes():
    REDACTOR.learn("hunter2-hunter2")
    text = described(f"held by ann:\n\tpassword hunter2-hunter2 \x1b[31m{'x' * 300}")
    assert len(text) == 140
    assert text.isprintable()
    assert "hunter2" not in text


@pytest.mark.parametrize("report", [status(), record(Stand.INACTIVE)])
def test_what_is_kept_of_a_report_is_the_report(report: Report):
    assert report_of(kept(report)) == report
    assert key_of("orders", report) != key_of("audit", report)

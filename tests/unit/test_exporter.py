"""`gopub exporter`: what it counts of a journal is what is in it, over restarts too, and what promtool takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from deployments.exporter import Exporter, Source
from gopub.canon import sha256
from gopub.clock import ManualClock
from gopub.errors import GopubError
from gopub.journal import events as ev
from gopub.journal.built import BuildBegan, BuildEnded
from gopub.journal.seat import Seat
from gopub.journal.store import Journal, open_journal
from gopub.journal.streams import build_stream, env_stream, stream_of
from gopub.plan.model import Outcome
from gopub.process import run
from gopub.views import metrics as names
from gopub.views import tally
from gopub.views.metrics import ALL, JENKINS, Kind
from gopub.views.tally import Histogram, Tally

NEW, OLD = "b" * 64, "a" * 64
PAGE = Path(__file__).parents[2] / "docs/reference/metrics.md"


class Told:
    """A journal in a file, written as drivers write it."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.file = folder / "journal.db"
        self.journal = self.open()
        self.count = 0

    def open(self) -> Journal:
        return open_journal(str(self.file), self.clock)

    async def build(self, outcome: str = "published", *, app: str = "hello", takes: float = 20.0) -> None:
        self.count += 1
        stream = build_stream(app, f"b{self.count}")
        self._write(stream, BuildBegan(app, "1.0.0", "c" * 40, self.clock.now() - 600))
        await self.clock.sleep(takes)
        release = NEW if outcome != "failed" else ""
        self._write(stream, BuildEnded(app, outcome, release, "", takes))  # type: ignore[arg-type]

    async def rollout(self, outcome: Outcome | None, *, app: str = "hello", env: str = "prod", takes: float = 90.0,
                      then: tuple[ev.Event, ...] = (), owed: Mapping[str, str] | None = None) -> str:  # fmt: skip
        self.count += 1
        name = f"{app}-{env}-{self.count}"
        self._write(env_stream(app, env), ev.EnvOpened(name, NEW))
        self._write(stream_of(name), ev.Opened(name, app, env, NEW, "1.0.0"))
        await self.clock.sleep(takes)
        for event in then:
            self._write(stream_of(name), event)
        if outcome is Outcome.ROLLED_BACK:
            self._write(stream_of(name), ev.GoingBack(outcome, 3, "errors"))
            await self.clock.sleep(2)
            self._write(stream_of(name), ev.TrafficOff(self.clock.now()))
            await self.clock.sleep(40)
        if outcome:
            self._write(stream_of(name), ev.Closed(outcome))
            self._write(env_stream(app, env), ev.EnvClosed(name, outcome, owed_hosts=owed, owed_edges=()))
        return name

    def _write(self, stream: str, event: ev.Event) -> None:
        version = self.journal.versions(stream).get(stream, 0)
        self.journal.append(stream, version, [event], actor="ann", trace="7" * 32)


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def asked(source: Source, token: str = "") -> httpx.AsyncClient:
    app = Exporter(source, sha256(token.encode()) if token else "")
    transport = httpx.ASGITransport(app=app)
    return httpx.AsyncClient(transport=transport, base_url="http://exporter.test")


async def scraped(source: Source) -> dict[str, float]:
    """Every sample of a scrape, by its name and labels as they are written."""
    async with asked(source) as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {
        one.name + "".join(f" {name}={value}" for name, value in one.labels.items()): one.value
        for family in families
        for one in family.samples
    }


async def promtool(text: str) -> tuple[int, str]:
    """What Prometheus's own tool says of series: its exit code and words."""
    done = await run(["promtool", "check", "metrics"], stdin=text.encode(), check=False)
    return done.code, (done.out + done.err).decode()


async def test_builds_and_rollouts_are_counted_by_how_they_ended(told: Told) -> None:
    await told.build()
    await told.build("failed")
    await told.rollout(Outcome.PROMOTED)
    await told.rollout(Outcome.ROLLED_BACK)
    found = await scraped(Source(told.open))
    assert found["gopub_up"] == 1
    assert found["gopub_builds_total app=hello outcome=published"] == 1
    assert found["gopub_builds_total app=hello outcome=failed"] == 1
    assert found["gopub_rollouts_total app=hello env=prod outcome=promoted"] == 1
    assert found["gopub_rollouts_total app=hello env=prod outcome=rolled back"] == 1
    assert found["gopub_change_failures_total app=hello env=prod"] == 1
    assert found["gopub_traffic_off_duration_seconds_sum app=hello env=prod"] == 2
    assert found["gopub_restore_duration_seconds_sum app=hello env=prod"] == 42
    assert found["gopub_rollout_duration_seconds_count app=hello env=prod"] == 2
    assert found["gopub_lead_time_seconds_sum app=hello env=prod"] == 600 + 20 + 20 + 90
    assert found["gopub_last_build_duration_seconds app=hello"] == 20


async def test_what_is_under_way_is_told_with_whether_anybody_drives_it(told: Told) -> None:
    name = await told.rollout(None)
    source = Source(told.open)
    assert (await scraped(source))["gopub_rollouts_active app=hello env=prod state=active"] == 1
    assert (await scraped(source))["gopub_rollout_driven app=hello env=prod"] == 0
    told.journal.take_seat(Seat("hello", "prod", 1, "ab", "ann@desk"), rollout=name, lease=60)
    assert (await scraped(source))["gopub_rollout_driven app=hello env=prod"] == 1
    for event, state in ((ev.Held("ann"), "held"), (ev.Resumed("ann"), "active"), (ev.Waiting(1, "window"), "waiting")):
        told._write(stream_of(name), event)
        assert (await scraped(source))[f"gopub_rollouts_active app=hello env=prod state={state}"] == 1
    told._write(stream_of(name), ev.Closed(Outcome.WITHDRAWN))
    assert not [one for one in await scraped(source) if one.startswith("gopub_rollouts_active")]


async def test_what_is_owed_stands_until_it_is_mended(told: Told) -> None:
    source = Source(told.open)
    await told.rollout(Outcome.ROLLED_BACK, owed={"app1": "silent", "app2": "silent"})
    assert (await scraped(source))["gopub_owed_hosts app=hello env=prod"] == 2
    await told.rollout(Outcome.WITHDRAWN, owed=None)
    assert (await scraped(source))["gopub_owed_hosts app=hello env=prod"] == 2, "one that touched no host mends none"
    await told.rollout(Outcome.MENDED, owed={})
    assert (await scraped(source))["gopub_owed_hosts app=hello env=prod"] == 0


async def test_counters_go_on_over_restarts_and_are_those_of_the_database(told: Told) -> None:
    source = Source(told.open)
    before: dict[str, float] = {}
    for outcome in (Outcome.PROMOTED, Outcome.ROLLED_BACK, Outcome.REFUSED, Outcome.PROMOTED):
        await told.rollout(outcome)
        for one in (source, Source(told.open)):  # the second was just started, or killed and started anew
            found = await scraped(one)
            counted = {name: value for name, value in found.items() if re.search("_(total|count|sum|bucket)", name)}
            assert all(counted[name] >= value for name, value in before.items())
        before = counted
        assert counted == {name: value for name, value in (await scraped(source)).items() if name in counted}
    with sa.create_engine(f"sqlite:///{told.file}").connect() as db:
        rows = db.execute(sa.text("SELECT json_extract(data, '$.outcome'), count(*) FROM journal "
                                  "WHERE type = 'Closed' GROUP BY 1")).all()  # fmt: skip
    assert {
        outcome: before[f"gopub_rollouts_total app=hello env=prod outcome={outcome}"] for outcome, _ in rows
    } == dict(map(tuple, rows))


async def test_a_journal_that_is_away_lowers_no_counter(told: Told) -> None:
    await told.rollout(Outcome.PROMOTED)
    away = [False]

    def opened() -> Journal:
        if away[0]:
            raise GopubError("GP701", "the journal cannot be opened", hint="mend it")
        return told.open()

    source = Source(opened)
    whole = await scraped(source)
    source.close()
    away[0] = True
    found = await scraped(source)
    assert found["gopub_up"] == 0
    assert {name: value for name, value in found.items() if "_total" in name} == {
        name: value for name, value in whole.items() if "_total" in name
    }
    away[0] = False
    assert (await scraped(source))["gopub_up"] == 1


async def test_another_journal_in_its_place_is_counted_anew(told: Told, tmp_path: Path) -> None:
    for _ in range(3):
        await told.rollout(Outcome.PROMOTED)
    source = Source(told.open)
    await scraped(source)
    (tmp_path / "other").mkdir()
    other = Told(tmp_path / "other")
    await other.rollout(Outcome.PROMOTED)
    source.close()
    source.open_journal = other.open
    assert (await scraped(source))["gopub_rollouts_total app=hello env=prod outcome=promoted"] == 1


async def test_each_entry_counts_once_however_few_are_read_at_a_time(told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.exporter._AT_ONCE", 2)
    for _ in range(5):
        await told.build()
        await told.rollout(Outcome.PROMOTED)
    found = await scraped(Source(told.open))
    assert found["gopub_rollouts_total app=hello env=prod outcome=promoted"] == 5
    assert found["gopub_builds_total app=hello outcome=published"] == 5


async def test_jenkins_names_are_there_where_they_are_asked_for(told: Told) -> None:
    await told.build()
    await told.build("failed")
    await told.rollout(Outcome.ROLLED_BACK)
    assert not [name for name in await scraped(Source(told.open)) if name.startswith("jenkins")]
    found = await scraped(Source(told.open, jenkins=True))
    assert found["jenkins_job_builds_total job=hello result=SUCCESS"] == 1
    assert found["jenkins_job_builds_total job=hello result=FAILURE"] == 1
    assert found["jenkins_job_builds_total job=hello/prod result=FAILURE"] == 1
    assert found["jenkins_job_last_build_duration_seconds job=hello"] == 20


async def test_names_have_an_end(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "MOST_ENVS", 3)
    for number in range(9):
        await told.rollout(Outcome.PROMOTED, env=f"e{number}")
    found = await scraped(Source(told.open))
    assert len([name for name in found if name.startswith("gopub_rollouts_total")]) == 3
    assert found["gopub_series_dropped"] == 6


async def test_what_a_stranger_calls_an_app_stays_a_label(told: Told) -> None:
    name = 'x"} 1\ngopub_up 7\n# {'
    await told.build(app=name)
    async with asked(Source(told.open)) as client:
        text = (await client.get("/metrics")).text
    assert "\ngopub_up 7" not in text
    assert (await scraped(Source(told.open)))["gopub_up"] == 1


async def test_a_token_is_asked_for_where_one_is_set(told: Told) -> None:
    async with asked(Source(told.open), "t" * 32) as client:
        assert (await client.get("/metrics")).status_code == 401
        assert (await client.get("/metrics", headers={"authorization": "Bearer wrong"})).status_code == 401
        assert (await client.get("/metrics", headers={"authorization": f"Bearer {'t' * 32}"})).status_code == 200
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/other")).status_code == 404
        assert (await client.post("/metrics")).status_code == 405


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
async def test_promtool_takes_what_is_told(told: Told, accept: str) -> None:
    await told.build()
    await told.rollout(Outcome.ROLLED_BACK, owed={"a": "b"})
    await told.rollout(None)
    async with asked(Source(told.open, waiting=lambda: 3, jenkins=True)) as client:
        answer = await client.get("/metrics", headers={"accept": accept})
    assert accept.partition(";")[0] in answer.headers["content-type"]
    if accept.startswith("application"):
        assert answer.text.endswith("# EOF\n")
        return
    assert await promtool(answer.text) == (0, "")
    wrong = answer.text.replace("gopub_builds_total", "gopub_builds_counter")
    assert (await promtool(wrong))[0] != 0, "control"


async def test_every_series_of_the_table_is_told_and_no_other(told: Told) -> None:
    await told.build()
    await told.build("failed")
    await told.rollout(Outcome.PROMOTED)
    await told.rollout(Outcome.ROLLED_BACK, owed={})
    await told.rollout(None)
    async with asked(Source(told.open, waiting=lambda: 0, jenkins=True)) as client:
        text = (await client.get("/metrics")).text
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert kinds == {one.name: one.kind.value for one in (*ALL, *JENKINS)}
    labels = {re.sub("_(bucket|sum|count)$", "", name): set(re.findall(r"(\w+)=\"", inner)) - {"le"}
              for name, inner in re.findall(r"^(\w+)(?:\{(.*)\})? ", text, re.MULTILINE)}  # fmt: skip
    assert labels == {one.name: set(one.labels) for one in (*ALL, *JENKINS)}


def test_names_follow_the_conventions() -> None:
    for one in (*ALL, *JENKINS):
        assert re.fullmatch(r"[a-z][a-z0-9_]*", one.name)
        assert one.name.endswith("_total") is (one.kind is Kind.COUNTER), one.name
        assert (one.kind is Kind.HISTOGRAM) is bool(one.buckets)
        assert one.kind is not Kind.HISTOGRAM or one.name.endswith("_seconds"), "base units"
        assert one.help.endswith(".")


def test_the_page_shows_the_table() -> None:
    page = PAGE.read_text("utf-8")
    for one in (*ALL, *JENKINS):
        labels = ", ".join(f"`{label}`" for label in one.labels)
        assert f"| `{one.name}` | {one.kind.value} | {labels} | {one.help} |" in page


@given(st.lists(st.floats(0, 1e6)))
def test_a_histogram_counts_each_once_and_only_grows(values: list[float]) -> None:
    one, last = Histogram(names.OFF_SECONDS.buckets), 0.0
    for value in values:
        one.add(value)
        assert one.cumulative()[-1][1] == last + 1
        last += 1
    buckets = [count for _, count in one.cumulative()]
    assert buckets == sorted(buckets)
    assert buckets[0] == sum(value <= names.OFF_SECONDS.buckets[0] for value in values)


def test_nothing_is_counted_of_an_entry_that_was_counted() -> None:
    one = Tally(seq=10)
    one.add([])
    assert (one.seq, one.counters) == (10, {})

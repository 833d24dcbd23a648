"""What is said of a query of the team's own before any Prometheus sees it, and how names are put into it."""

from __future__ import annotations

import json
import string
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gopub.errors import GopubError
from gopub.health.backends.own import for_track
from gopub.health.backends.prometheus import PrometheusSource
from gopub.health.samples import NoData
from gopub.spec.loader import load_judge, parse_spec
from gopub.spec.querytext import mistake

GOOD = 'sum by (host) (failed_total{release="{{ release }}",host=~"{{hosts}}"})'


@pytest.mark.parametrize(
    "query",
    [
        GOOD,
        'a{host=~"{{ hosts }}"} / on (host) b{app="{{ app }}",env="{{ env }}"}',
        "a{release='{{ release }}'} # not closed (",
        'a{host!~"{{ hosts }}",path="a\\"}"}',
        'a{release="{{ release }}",path=`[(`}',
        'label_replace(a{release="{{ release }}"}, "host", "$1", "instance", "(.*):.*")',
    ],
)
def test_a_query_that_can_be_asked_has_no_mistake(query: str) -> None:
    assert mistake(query.partition(" #")[0], counts=True) is None


@pytest.mark.parametrize(
    ("query", "text", "hint"),
    [
        ('a{release="{{ relaese }}"}', "nothing is known for {{ relaese }}", "did you mean release?"),
        ('a{x="{{ __import__ }}"}', "nothing is known for {{ __import__ }}", "known here: {{ release }}, {{ hosts }}"),
        ('a{release="{{ release }"}', "a {{ or }} has no partner", "a place is"),
        ("a{release={{ release }}}", "{{ release }} stands outside of quotes", 'host=~"{{ release }}"'),
        ('a{host="{{ hosts }}"}', "{{ hosts }} is a list, and no label equals a list", 'host=~"{{ hosts }}"'),
        ("a{host=~`{{ hosts }}`}", "{{ hosts }} stands in backticks", "double quotes"),
        ('a{release="{{ release }}}', 'the string that " begins has no end', "close it"),
        ('sum(a{release="{{ release }}"}', "a ( is never closed", "Prometheus"),
        ('sum(a{release="{{ release }}"}))', "a ) closes what was not opened", "Prometheus"),
        ('sum(a{release="{{ release }}")}', "a ) closes what was not opened", "Prometheus"),
        ('sum(a{app="{{ app }}"})', "it gives the same for canary and stable", 'release="{{ release }}"'),
        ('rate(a{release="{{ release }}"}[1m])', "rate() gives no counter", "exactly"),
        ('sum(increase (a{release="{{ release }}"}[1m]))', "increase() gives no counter", "exactly"),
        ('changes(a{release="{{ release }}"}[1m])', "changes() gives no counter", "exactly"),
        ('sum(sum_over_time(a{release="{{ release }}"}[1m]))', "sum_over_time() gives no counter", "exactly"),
        ('histogram_quantile(1, a{release="{{ release }}"})', "histogram_quantile() gives no counter", "exactly"),
        ('http_sent_bytes_total{release="{{ release }}"}', "http_sent_bytes_total counts no events", "kind: gauge"),
        ('http_seconds_sum{release="{{ release }}"}', "http_seconds_sum counts no events", "kind: gauge"),
    ],
)
def test_a_mistake_is_told_with_what_to_write(query: str, text: str, hint: str) -> None:
    found = mistake(query, counts=True)
    assert found is not None
    assert found.text == text
    assert hint in found.hint


def test_a_gauge_may_be_a_rate_and_names_in_strings_are_no_functions() -> None:
    assert mistake('rate(a_seconds_sum{release="{{ release }}"}[1m])', counts=False) is None
    assert mistake('a{release="{{ release }}",why="rate(x)"}', counts=True) is None
    for whole in ("last", "max", "min"):
        assert mistake(f'{whole}_over_time(a{{release="{{{{ release }}}}"}}[1m])', counts=True) is None, "a counter"


def test_names_are_put_in_as_names() -> None:
    assert for_track(GOOD, "orders", "prod", "c" * 12, ["web-2", "web.1"]) == (
        'sum by (host) (failed_total{release="cccccccccccc",host=~"web-2|web\\\\.1"})'
    )
    assert for_track('a{x=~"{{ hosts }}"}', "o", "p", "c1", []) == 'a{x=~""}', "no host is matched by nothing else"


@given(st.text(min_size=1, max_size=40) | st.text("aZ0_.:-", min_size=1, max_size=40))
def test_no_name_leaves_its_quotes(name: str) -> None:
    """What could end a string or mean something in an expression is refused; the control is a name of a host."""
    if set(name) - set(string.ascii_letters + string.digits + "_.:-"):
        with pytest.raises(ValueError, match="has characters that no query may hold"):
            for_track('a{host=~"{{ hosts }}"}', "o", "p", "c1", [name])
        return
    text = for_track('a{host=~"{{ hosts }}"}', "o", "p", "c1", [name])
    inside = text.removeprefix('a{host=~"').removesuffix('"}')
    assert not set(inside) & set("\"'`\n{}()|*+?$^ ")
    assert inside.replace("\\\\", "") == name


@pytest.mark.parametrize("release", ["", 'c"', "c|d", "c.d", "../c", "c\n"])
def test_a_release_is_letters_and_digits(release: str) -> None:
    with pytest.raises(ValueError, match="has characters that no query may hold"):
        for_track(GOOD, "o", "p", release, ["h1"])


SPEC = """\
app: orders
environments:
  prod:
    inventory: hosts.ini
    hosts: role=orders
    health: http://127.0.0.1:8080/healthz
    traffic: edge-prod
    judge:
      metrics:
        - {name: NAME, kind: KIND, query: 'a{r="{{ release }}"}', MORE}
"""


def errors(name: str = "lost", kind: str = "counter", more: str = "margin: 10%", tail: str = "") -> str:
    text = SPEC.replace("NAME", name).replace("KIND", kind).replace("MORE", more) + tail
    try:
        parse_spec(text, "gopub.yaml")
    except GopubError as error:
        return str(error)
    return ""


ANOTHER = "        - {name: %s, kind: gauge, query: 'a{r=\"{{ release }}\"}'}\n"


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        ({"kind": "ratio"}, "GP150 `environments.prod.judge.metrics[0].per`: a ratio is of something"),
        ({"kind": "gauge", "more": "per: a"}, "GP150 `environments.prod.judge.metrics[0].per`: a gauge is a value"),
        ({"kind": "ratio", "more": "per: all"}, "GP150 `environments.prod.judge.metrics[0].per`: it gives the same"),
        ({"kind": "counters"}, "GP118 `environments.prod.judge.metrics[0].kind`: 'counters' is not allowed"),
        ({"name": "errors"}, "GP134 `environments.prod.judge.metrics[0].name`: 'errors' is taken"),
        ({"name": "Lost"}, "GP120 `environments.prod.judge.metrics[0].name`: 'Lost' is not a name"),
        ({"tail": ANOTHER % "lost"}, "GP134 `environments.prod.judge.metrics[1].name`: 'lost' is taken"),
        ({"more": "direction: higher, margin: 100%"}, "GP121 `environments.prod.judge.metrics[0].margin`: 100% below"),
        ({"more": "marign: 1%"}, "GP114 `environments.prod.judge.metrics[0].marign` is not a known key"),
        (
            {"tail": "".join(ANOTHER % f"m{n}" for n in range(10))},
            "GP121 `environments.prod.judge.metrics`: 11 metrics",
        ),
    ],
)
def test_what_is_wrong_with_a_metric_is_told_at_its_place(given_: dict[str, str], told: str) -> None:
    assert errors() == "", "control: as it is it is right"
    assert told in errors(**given_)


def test_a_long_query_belongs_into_a_recording_rule() -> None:
    long = SPEC.replace('a{r="', 'a{x="' + "y" * 2000 + '",r="').replace("NAME", "lost").replace("KIND", "counter")
    with pytest.raises(GopubError, match=r"GP150 .*query`: 20.. characters"):
        parse_spec(long.replace(", MORE", ""), "gopub.yaml")


def test_the_place_that_the_connection_had_before_still_names_it(tmp_path) -> None:
    text = SPEC.partition("      metrics:")[0]
    old = parse_spec(f"{text}      metrics: prometheus-prod\n", "gopub.yaml").spec.environments["prod"].judge
    new = parse_spec(f"{text}      source: prometheus-prod\n", "gopub.yaml").spec.environments["prod"].judge
    assert old == new
    assert (old.source, old.metrics) == ("prometheus-prod", ())
    (tmp_path / "judge.yaml").write_text("judge: {metrics: prometheus-prod}\n")
    assert load_judge(tmp_path / "judge.yaml").source == "prometheus-prod"
    assert parse_spec(f"{text}      metrics: null\n", "x").spec.environments["prod"].judge.metrics == (), (
        "was a default"
    )


@contextmanager
def answering(body: bytes) -> Iterator[str]:
    """A server that answers every question with ``body``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


async def test_a_native_histogram_is_no_number_and_what_it_is_is_said() -> None:
    """As Prometheus answers it over HTTP: a server of our own says so, for promtool backfills none."""
    sample = {"metric": {"host": "h1"}, "histogram": [1.0, {"count": "3", "sum": "4"}]}
    body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": [sample]}}).encode()
    with answering(body) as url:
        found = await PrometheusSource(url).own('a{release="{{ release }}"}', "o", "p", "c1", ["h1"], 1.0)
    assert isinstance(found, NoData)
    assert "a native histogram, which is no number: write histogram_count(…), _sum or _avg" in found.reason

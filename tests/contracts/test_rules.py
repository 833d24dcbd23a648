"""The rules for Prometheus: promtool takes them, alerts fire when they should, and all name series that there are."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from gopub.process import Result, run

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deployments/prometheus"
FILES = ("recording.yml", "alerts.yml")
PAGE = ROOT / "docs/reference/metrics.md"
NAMED = re.compile(r"\b(?:gopub|config|jenkins)[:_][a-z0-9:_]+")
OFFERED = re.compile(r"^\| `([a-z_]+)` \| (\w+) \|", re.MULTILINE)


def rules() -> Iterator[dict[str, str]]:
    for name in FILES:
        for group in YAML(typ="safe").load((RULES / name).read_text())["groups"]:
            yield from group["rules"]


def series() -> set[str]:
    """Every name that can be queried, by the page that lists them all, and those that are recorded."""
    found = {one["record"] for one in rules() if "record" in one}
    for name, kind in OFFERED.findall(PAGE.read_text("utf-8")):
        found |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return found


async def promtool(*words: str, folder: Path) -> Result:
    return await run(["promtool", *words], cwd=folder, check=False, timeout=300)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for file in (*RULES.iterdir(), ROOT / "tests/contracts/rules/alerts_test.yml"):
        shutil.copy(file, tmp_path)
    return tmp_path


async def test_promtool_takes_the_rules(folder: Path) -> None:
    done = await promtool("check", "rules", *FILES, folder=folder)
    assert done.code == 0, done.complaint
    (folder / "alerts.yml").write_text(
        (folder / "alerts.yml").read_text().replace("sum by (app, env)", "sum by app", 1)
    )
    assert (await promtool("check", "rules", *FILES, folder=folder)).code != 0, "control"


async def test_each_alert_fires_at_its_time_and_not_before(folder: Path) -> None:
    done = await promtool("test", "rules", "alerts_test.yml", folder=folder)
    assert done.code == 0, (done.out + done.err).decode()
    tested = set(re.findall(r"alertname: (\w+)", (folder / "alerts_test.yml").read_text()))
    assert tested == {one["alert"] for one in rules() if "alert" in one}


@pytest.mark.parametrize("change", [("for: 5m", "for: 1m"), ("> 0", "> 99"), ("== 0", "== 7")])
async def test_a_rule_that_is_bent_is_found(folder: Path, change: tuple[str, str]) -> None:
    text = (folder / "alerts.yml").read_text()
    assert change[0] in text
    (folder / "alerts.yml").write_text(text.replace(*change))
    assert (await promtool("test", "rules", "alerts_test.yml", folder=folder)).code != 0


def unknown(text: str) -> set[str]:
    return set(NAMED.findall(re.sub(r'"[^"]*"', '""', text))) - series()


def test_rules_name_series_that_there_are() -> None:
    for one in rules():
        assert unknown(one["expr"]) == set(), one
    assert unknown("rate(gopub_rollout_total[5m])") == {"gopub_rollout_total"}, "control"


def test_the_page_lists_the_series_of_the_go_modules() -> None:
    page = PAGE.read_text("utf-8")
    found = re.findall(r"^.*# TYPE (\w+) (\w+)", (ROOT / "go/hotconfig/status.go").read_text(), re.MULTILINE)
    assert len(found) > 4
    for name, kind in found:
        assert f"| `{name}` | {kind} |" in page


def test_the_page_lists_the_series_of_the_edges() -> None:
    lua = (ROOT / "gopub/traffic/backends/nginx/lua/gopub/metrics.lua").read_text()
    page = PAGE.read_text("utf-8")
    families = re.findall(r'\{ "(gopub_edge_\w+)", "(\w+)", "([^"]+)" \}', lua)
    assert len(families) > 15
    for name, kind, says in families:
        assert f"| `{name}` | {kind} | {says} |" in page

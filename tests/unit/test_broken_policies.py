"""Policies with a mistake through the command: each a typed refusal beside a good neighbour that is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.releases import SPEC
from tests.support.command import Ended, everything, gopub
from tests.support.keyless_shop import Keyless
from tests.support.sigstore_world import IDENTITY, ISSUER, World

ROOT = Path(__file__).parents[2]
CASES: list[dict[str, Any]] = yaml.safe_load((ROOT / "tests/cases/evidence/policies.bad.yaml").read_text("utf-8"))
ISSUED = f'issuer: "{ISSUER}", trust: corp'
BOMB = "signed: &a [{key: k}], x0: &x0 [*a, *a], " + ", ".join(f"x{n + 1}: &x{n + 1} [*x{n}, *x{n}]" for n in range(40))
WORDS = {
    "KEY": "../keys/gopub.pub",
    "ISSUED": ISSUED,
    "ID": f'identity: "{IDENTITY}", {ISSUED}',
    "LONG": 600 * "x",
    "BOMB": BOMB,
    "DEEP": "key: " + 3000 * "[" + 3000 * "]",
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyless]:
    with pytest.MonkeyPatch.context() as patch:
        made = Keyless(tmp_path_factory.mktemp("policies"), patch)
        made.trusting(World())
        (made.project / "main.go").write_text("package main\n")
        (made.project / "config.yaml.tmpl").write_text("x: 1\n")
        patch.chdir(made.project)
        yield made


def tried(shop: Keyless, text: str) -> Ended:
    """The policy alone; its files lie beside it."""
    (shop.project / "policy.yaml").write_text(f"{{{filled(text)}}}\n")
    return gopub("admit", "test", "policy.yaml", "1.0.0")


def checked(shop: Keyless, text: str) -> Ended:
    """The same in a gopub.yaml."""
    shop.spec(f"{SPEC}    admit: {{{filled(text)}}}\n")
    try:
        return gopub("check")
    finally:
        shop.spec(SPEC)


def filled(text: str) -> str:
    whole = re.sub("|".join(rf"\b{word}\b" for word in WORDS), lambda found: WORDS[found[0]], text)
    source = "" if "provenance" in text else ', provenance: {repository: "**"}'
    return whole + source


@pytest.mark.parametrize("case", CASES, ids=[case["bad"][:60] for case in CASES])
def test_a_bad_policy_is_refused_and_a_good_neighbour_read(shop: Keyless, case: dict[str, Any]) -> None:
    for way in (tried, checked):
        if way is checked and case.get("check") is False:
            continue
        before = everything(shop.store.root)
        ended = way(shop, case["bad"])
        assert ended.code == 2, ended.told
        found = re.search(rf"error: (?:\S+ )?({case['code']}\d*) .*{case['says']}", ended.told, re.DOTALL)
        assert found, ended.told
        assert (ROOT / f"docs/errors/{found[1]}.md").is_file()
        assert "Traceback" not in ended.told and everything(shop.store.root) == before
    ended = tried(shop, case["good"])
    assert ended.code == case.get("ends", 0), ended.told
    assert checked(shop, case["good"]).code == 0

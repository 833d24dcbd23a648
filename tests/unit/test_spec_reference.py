"""The reference pages are true: they load, name every key, and show the real defaults."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from gopub.spec.connections import parse_connections
from gopub.spec.loader import parse_spec
from gopub.spec.reading import read_tree
from gopub.spec.schema import generate
from gopub.spec.tree import plain
from gopub.wiring.backends import BACKENDS

PAGES = Path(__file__).parents[2] / "docs/reference"
SPEC = (PAGES / "gopub-yaml.md").read_text("utf-8")
CONNECTIONS = (PAGES / "connections-yaml.md").read_text("utf-8")


def blocks(page: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)


SIMPLE, EVERY_KEY = blocks(SPEC)


def test_every_block_loads() -> None:
    parse_spec(SIMPLE, "gopub.yaml")
    parse_spec(EVERY_KEY, "gopub.yaml")
    parse_connections(blocks(CONNECTIONS)[0], "connections.yaml", Path("/"), BACKENDS)


def test_the_block_of_every_key_shows_the_defaults() -> None:
    """What the simple file means is what the long one says, but for what it must say."""
    text = re.sub(r"\n    traffic:.*?\n\n", "\n\n", EVERY_KEY, flags=re.DOTALL)
    long, short = parse_spec(text, "x").spec, parse_spec(SIMPLE.replace("build: ./cmd/orders\n", ""), "x").spec
    assert long == short


def test_the_traffic_block_shows_the_defaults() -> None:
    long = parse_spec(EVERY_KEY, "x").spec.environments["prod"].traffic
    short = parse_spec(f"{SIMPLE}    traffic: edge-prod\n", "x").spec.environments["prod"].traffic
    assert long == short


def test_every_key_of_the_language_stands_in_its_block() -> None:
    words = set(re.findall(r"[a-z_0-9]+(?=:)", EVERY_KEY))
    definitions: Any = generate()["gopub.v1.json"]["$defs"]
    for definition in definitions.values():
        mapping = next(form for form in definition.get("anyOf", [definition]) if "properties" in form)
        assert set(mapping["properties"]) - words == set()


@pytest.mark.parametrize("kind", BACKENDS.ours().values(), ids=lambda kind: kind.model_fields["kind"].default)
def test_every_kind_stands_in_the_page_with_every_key(kind: type[BaseModel]) -> None:
    shown: Any = plain(read_tree(blocks(CONNECTIONS)[0], "x"))
    name = kind.model_fields["kind"].default
    keys = {key for entry in shown.values() if entry["kind"] == name for key in entry}
    assert keys == set(kind.model_fields)

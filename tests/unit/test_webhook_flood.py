"""A thousand tags at once, as a mirror or a script pushes them: GitLab hears 202 of each, and each is one run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.unit.apikit import Kit, make_kit
from tests.unit.test_webhook_routes import headers, payload

MANY = 1000
TAGS = tuple(f"refs/tags/v3.{number}.0" for number in range(MANY))


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    made = make_kit(tmp_path)
    made.refs.add(*TAGS)
    return made


async def push(kit: Kit, tag: str) -> int:
    return (await kit.hook(payload("tag_push.json", ref=tag), **headers(tag))).status_code


async def test_a_thousand_tags_at_once_are_all_taken_and_start_one_run_each_in_their_order(kit: Kit, tmp_path: Path):
    assert set(await asyncio.gather(*(push(kit, tag) for tag in TAGS))) == {202}
    assert set(await asyncio.gather(*(push(kit, tag) for tag in TAGS[:50]))) == {202}, "GitLab sends some of them again"
    waiting = [one.orders[0].parameters["ref"] for one in kit.parts.deliveries.waiting()]
    assert sorted(waiting) == sorted(TAGS)
    kit.parts.deliveries.close()
    again = make_kit(tmp_path)  # the process is killed, and started anew
    again.refs.add(*TAGS)
    assert again.parts.deliveries.count() == MANY
    assert await again.settle() == 0
    assert [one.parameters["ref"] for one in again.starter.orders] == waiting

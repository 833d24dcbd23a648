"""Route tables that reach an edge from a folder, however they come there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gopub.errors import GopubError
from gopub.traffic import RouteTable
from gopub.traffic.sources.envelope import enveloped, opened
from gopub.traffic.sources.file import FileSource
from tests.contracts.edge_nginx import Backend, route_table
from tests.contracts.edge_source import envelope, eventually, running_watcher, steadily


def ordered(backends: list[Backend], revision: int) -> RouteTable:
    return route_table(backends[:1], backends[1:], rollout="r-1", revision=revision, epoch=1, token="t", n=revision)


@pytest.mark.parametrize("shell", ["dash", "busybox"])
async def test_a_file_is_in_force_however_it_came_and_half_of_one_is_refused(edge, backends, tmp_path, shell):
    folder = tmp_path / "tables"
    folder.mkdir()
    path = folder / "hello.table"
    source = FileSource(folder)
    with running_watcher(edge, "kind file", f"folder {folder}", shell=shell) as watcher:
        await watcher.is_up(up=True)
        assert await source.swap("hello", envelope(ordered(backends, 1)), None)
        await watcher.reaches(1)
        async with steadily(edge, backends) as found:
            whole = envelope(ordered(backends, 2))
            path.write_bytes(whole[:-40])
            assert "hello: status 422" in (await watcher.has_refused())["what"]
            path.write_bytes(whole)
            await watcher.reaches(2)
            elsewhere = tmp_path / "elsewhere"
            elsewhere.write_bytes(envelope(ordered(backends, 3)))
            path.unlink()
            path.symlink_to(elsewhere)  # as a configuration management swaps them
            await watcher.reaches(3)
            path.unlink()
            (folder / "pipe.table").mkdir()
            (folder / ".hello.table").write_bytes(envelope(ordered(backends, 9)))
            other = replace(ordered(backends, 1), upstream="other")
            (folder / "other.table").write_bytes(envelope(other))

            async def there() -> bool:
                return await watcher.revision("other") == 1

            await eventually(there)
            assert await watcher.revision() == 3, "one that is gone changes nothing"
            folder.rename(tmp_path / "away")
            told = await watcher.is_up(up=False)
            assert told["what"] == f"{folder} is no folder that can be read"[:200]
            (tmp_path / "away").rename(folder)
            path.write_bytes(envelope(ordered(backends, 4)))
            await watcher.reaches(4)
        assert found.is_whole(backends), found


async def test_controllers_do_not_overwrite_each_other(tmp_path):
    one, two = FileSource(tmp_path), FileSource(tmp_path)
    assert await one.read("hello") is None
    assert await one.swap("hello", b"1", None)
    held = await two.read("hello")
    assert held.value == b"1"
    assert await two.swap("hello", b"2", held)
    assert not await one.swap("hello", b"3", held)
    assert not await one.swap("hello", b"3", None)
    assert (tmp_path / "hello.table").read_bytes() == b"2"
    with pytest.raises(GopubError, match="is no folder that can be read"):
        await FileSource(tmp_path / "missing").read("hello")


def test_an_envelope_is_read_back_and_nothing_else_is_one(backends):
    table = ordered(backends, 1)
    body = envelope(table).split(b"\n", 2)[2]
    for signature in ("", "ab:cd=="):
        assert opened("hello", enveloped("hello", body, signature)) == (body, table)
    for value in (b"", b"x", body, envelope(table, name="other"), envelope(replace(table, upstream="other"))):
        assert opened("hello", value) is None
    with pytest.raises(ValueError, match="one line"):
        enveloped("hello", body, "a\nb")

"""A long known_hosts and ~/.ssh/config are read once for all hosts: who parses them for each one hears no server."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path

import asyncssh
import pytest

from gopub.errors import GopubError
from gopub.fleet.backends.config import settings_of
from gopub.fleet.backends.known import Pinned
from gopub.fleet.sshconfig import Asked
from gopub.fleet.sshwords import matches
from tests.support.pace import at_most

LINES, MORE = 4000, 20


def test_twenty_more_hosts_of_a_long_file_of_pins_cost_less_than_the_first(tmp_path: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    pins = tmp_path / "known_hosts"
    text = "".join(f"h{one} {key}\n" for one in range(LINES))
    pins.write_text(text, "utf-8")
    assert Pinned(pins, "h0").listed

    def first(number: int) -> None:
        others = tmp_path / f"known_hosts_{number}"
        others.write_text(f"# {number}\n{text}", "utf-8")
        assert Pinned(others, "h0").listed

    numbers = count()
    at_most(MORE / 4, lambda: [Pinned(pins, f"h{one}") for one in range(MORE)], than=lambda: first(next(numbers)))
    assert Pinned(pins, f"h{LINES - 1}").listed
    assert not Pinned(pins, f"h{LINES}").listed


def test_what_is_written_into_the_files_later_counts(tmp_path: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    pins = tmp_path / "known_hosts"
    pins.write_text(f"old {key}\n", "utf-8")
    assert not Pinned(pins, "new").listed
    pins.write_text(f"new {key}\n", "utf-8")
    assert Pinned(pins, "new").listed
    assert not Pinned(pins, "old").listed
    pins.write_text(f"new {key}\n@nothing * nonsense\n", "utf-8")
    for _ in range(2):
        with pytest.raises(GopubError) as caught:
            Pinned(pins, "new")
        assert (caught.value.code, str(caught.value.where)) == ("GP418", f"{pins}:2")


def test_twenty_more_hosts_of_a_long_configuration_cost_less_than_as_many_first_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    config = tmp_path / ".ssh/config"
    text = "".join(f"Host h{one}\n  HostName h{one}.example\n" for one in range(LINES))

    def names(many: int) -> None:
        for one in range(many):
            assert asyncio.run(settings_of(Asked(f"h{one}"))).hostname == f"h{one}.example"

    def first(number: int) -> None:
        config.write_text(f"# {number}\n{text}", "utf-8")
        names(1)

    numbers = count()
    at_most(MORE / 2, lambda: names(MORE), than=lambda: first(next(numbers)))
    config.write_text("Host h1\n  HostName elsewhere\n", "utf-8")
    assert asyncio.run(settings_of(Asked("h1"))).hostname == "elsewhere", "what is written later counts"


@pytest.mark.parametrize(
    ("name", "patterns", "holds"),
    [
        ("web.1", ["web.1"], True),
        ("webx1", ["web.1"], False),
        ("web1", ["web?"], True),
        ("web1", ["WEB1"], False),
        ("web1", ["*", "!web1"], False),
        ("web\n1", ["web\n1"], True),
        ("", [""], True),
    ],
)
def test_a_name_without_wildcards_is_itself_alone(name: str, patterns: list[str], holds: bool) -> None:
    assert matches(name, patterns) is holds

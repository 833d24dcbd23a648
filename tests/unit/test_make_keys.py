"""``gopub keys``: a pair for each role and a list that the root signs; keys change, and no list goes back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gopub.cli.keys import app
from gopub.clock import ManualClock
from gopub.errors import GopubError, RefusedError, UsageError
from gopub.evidence.keys import KeySigner, PublicKey, private_key_in
from gopub.evidence.roles import Role, load_roles
from gopub.usecases.make_keys import FILE, make_keys

YEAR = 365 * 86400.0
NOW = 1_796_040_000.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


def root_of(folder: Path) -> PublicKey:
    return private_key_in(folder / Role.ROOT).public_key()


def test_a_pair_for_each_role_and_a_list_that_the_root_signed(tmp_path: Path, clock: ManualClock) -> None:
    made = make_keys(tmp_path / "keys", YEAR, clock)
    assert made.fresh == tuple(Role)
    roles = load_roles(tmp_path / "keys" / FILE).by(root_of(tmp_path / "keys"))
    assert roles.serial == 1
    assert not roles.expired(NOW + YEAR - 1)
    assert roles.expired(NOW + YEAR)
    for role in Role:
        pair = private_key_in(tmp_path / "keys" / role)
        assert pair.private.stat().st_mode & 0o077 == 0
        assert roles.of(role) == (pair.signer().public,)


def test_again_keeps_the_keys_and_gives_the_next_serial(tmp_path: Path, clock: ManualClock) -> None:
    first = make_keys(tmp_path / "keys", YEAR, clock)
    second = make_keys(tmp_path / "keys", YEAR, clock)
    assert (second.fresh, second.signed.roles.holders) == ((), first.signed.roles.holders)
    assert second.signed.after(first.signed.roles).serial == 2


def test_a_key_changes_by_moving_it_away(tmp_path: Path, clock: ManualClock) -> None:
    first = make_keys(tmp_path / "keys", YEAR, clock)
    (tmp_path / "keys" / Role.CONTROLLER).rename(tmp_path / "old")
    second = make_keys(tmp_path / "keys", YEAR, clock)
    assert second.fresh == (Role.CONTROLLER,)
    later = second.signed.after(first.signed.roles)
    assert later.of(Role.CONTROLLER) != first.signed.roles.of(Role.CONTROLLER)
    assert later.of(Role.ADMISSION) == first.signed.roles.of(Role.ADMISSION)


def test_a_root_changes_only_by_the_one_before(tmp_path: Path, clock: ManualClock) -> None:
    first = make_keys(tmp_path / "keys", YEAR, clock)
    (tmp_path / "keys" / Role.ROOT).rename(tmp_path / "old")
    with pytest.raises(UsageError, match=r"GP334 .*names another root"):
        make_keys(tmp_path / "keys", YEAR, clock)
    assert not private_key_in(tmp_path / "keys" / Role.ROOT).private.exists(), "nothing half done"
    second = make_keys(tmp_path / "keys", YEAR, clock, before=tmp_path / "old")
    later = second.signed.after(first.signed.roles)
    assert later.of(Role.ROOT) == (root_of(tmp_path / "keys"),) != first.signed.roles.of(Role.ROOT)
    assert make_keys(tmp_path / "keys", YEAR, clock).signed.after(later).serial == 3
    with pytest.raises(UsageError, match=r"GP334 .*names another root"):
        make_keys(tmp_path / "keys", YEAR, clock, before=tmp_path / "old")


def test_a_passphrase_shuts_all_of_them(tmp_path: Path, clock: ManualClock) -> None:
    make_keys(tmp_path / "keys", YEAR, clock, passphrase="open sesame")
    for role in Role:
        private = private_key_in(tmp_path / "keys" / role).private
        assert KeySigner.load(private, passphrase="open sesame")
        with pytest.raises(GopubError, match=r"GP300 .*has a passphrase"):
            KeySigner.load(private)
    with pytest.raises(GopubError, match=r"GP300 .*does not open"):
        make_keys(tmp_path / "keys", YEAR, clock, passphrase="close sesame")
    assert load_roles(tmp_path / "keys" / FILE).roles.serial == 1


@pytest.mark.parametrize("lasting", [0.0, -1.0, 3650 * 86400.0 + 1, 9999999 * 86400.0])
def test_a_list_that_holds_for_no_time_or_for_ever_is_none(tmp_path: Path, clock: ManualClock, lasting: float) -> None:
    with pytest.raises(UsageError, match="GP334"):
        make_keys(tmp_path / "keys", lasting, clock)
    assert not (tmp_path / "keys").exists()


def test_the_command_says_what_it_made_and_shows_who_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYS_PASS", "open sesame")
    run, keys = CliRunner(), tmp_path / "keys"
    made = run.invoke(app, ["make", str(keys), "--for", "30d", "--passphrase", "KEYS_PASS"])
    assert made.exit_code == 0, made.output
    assert "sesame" not in made.output
    told = json.loads(run.invoke(app, ["show", str(keys / FILE), "--json"]).stdout)
    assert told["expired"] is False
    assert (told["serial"], told["checked"], [one["role"] for one in told["holders"]]) == (1, False, list(Role))
    root = str(private_key_in(keys / Role.ROOT).public)
    assert "not checked" not in run.invoke(app, ["show", str(keys / FILE), "--root", root]).stdout
    other = str(private_key_in(keys / Role.RELEASE).public)
    refused = run.invoke(app, ["show", str(keys / FILE), "--root", other])
    assert isinstance(refused.exception, GopubError)
    assert refused.exception.code == "GP311"


@pytest.mark.parametrize("words", [[], ["--json"]], ids=["for people", "as JSON"])
def test_a_list_that_expired_is_shown_and_said_to_be_over(tmp_path: Path, words: list[str]) -> None:
    made = make_keys(tmp_path / "keys", YEAR, ManualClock(86400.0))
    shown = CliRunner().invoke(app, ["show", str(made.file), *words])
    assert isinstance(shown.exception, RefusedError)
    assert shown.exception.code == "GP353"
    assert "it held until 1971-01-02T00:00:00Z" in shown.exception.problem
    if words:
        assert json.loads(shown.stdout)["expired"] is True
    else:
        assert "until 1971-01-02T00:00:00Z (expired)" in shown.stdout
        assert made.signed.roles.of(Role.ADMISSION)[0].fingerprint in shown.stdout, "it is shown all the same"


def test_a_variable_that_is_not_set_opens_no_key(tmp_path: Path) -> None:
    refused = CliRunner().invoke(app, ["make", str(tmp_path / "keys"), "--passphrase", "GOPUB_NOT_SET"])
    assert isinstance(refused.exception, UsageError)
    assert refused.exception.code == "GP142"
    assert not (tmp_path / "keys").exists()


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"GP334 .*cannot be read: no such file"):
        load_roles(tmp_path / FILE)

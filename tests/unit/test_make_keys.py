"""``gopub keys``: a pair for each role and a list that the root signs; keys change, and no list goes back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gopub.cli.keys import app
from gopub.clock import ManualClock
from gopub.errors import GopubError, PartialError, RefusedError, UsageError
from gopub.evidence.keys import KeySigner, PublicKey, generate, private_key_in
from gopub.evidence.roles import Role, load_roles
from gopub.usecases.make_keys import FILE, Wanted, make_keys
from gopub.usecases.root_lists import sign_file

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


def test_two_roots_that_are_made_here_both_sign(tmp_path: Path, clock: ManualClock) -> None:
    made = make_keys(tmp_path / "keys", YEAR, clock, wanted=Wanted(threshold=2))
    assert made.fresh == ("release", "admission", "controller", "root", "root-2")
    assert (made.signed.missing(made.signed.roles), made.lacks) == (0, ())
    assert len(made.signed.roles.of(Role.ROOT)) == 2
    again = make_keys(tmp_path / "keys", YEAR, clock)
    assert (again.signed.after(made.signed.roles).threshold, again.fresh) == (2, ()), "it stays what it was"


def test_a_list_waits_until_whoever_has_the_other_key_has_signed(tmp_path: Path, clock: ManualClock) -> None:
    keys, away = tmp_path / "keys", tmp_path / "another machine"
    first = make_keys(keys, YEAR, clock, wanted=Wanted(threshold=2)).signed
    (keys / "root-2").rename(away)
    made = make_keys(keys, YEAR, clock)
    other = private_key_in(away).public_key()
    assert made.file == keys / "roles.pending"
    assert len(made.lacks) == 2, "of the list before, and of this one"
    assert all(other.fingerprint[:16] in one for one in made.lacks)
    assert load_roles(keys / FILE) == first, "what is believed stays until then"
    signed = sign_file(made.file, [away])
    assert (signed.file, signed.lacks, made.file.exists()) == (keys / FILE, (), False)
    assert load_roles(keys / FILE).after(first.roles).serial == 2
    assert load_roles(keys / "roles.1") == first, "a host that missed it gets it first"


def test_at_somebodys_who_has_not_the_list_before_it_waits_on(tmp_path: Path, clock: ManualClock) -> None:
    """Its new roots may have signed, and its old ones not: what is believed there would be what no host takes."""
    keys, away, desk = tmp_path / "keys", tmp_path / "away", tmp_path / "desk"
    make_keys(keys, YEAR, clock, wanted=Wanted(threshold=2))
    (keys / "root-2").rename(away)
    waiting = make_keys(keys, YEAR, clock).file
    desk.mkdir()
    brought = desk / waiting.name
    brought.write_bytes(waiting.read_bytes())
    assert sign_file(brought, [away]).file == brought
    assert not (desk / FILE).exists()
    waiting.write_bytes(brought.read_bytes())
    assert sign_file(waiting, []).file == keys / FILE, "brought back it takes its place"
    assert load_roles(keys / FILE).roles.serial == 2


def test_a_first_list_needs_none_before(tmp_path: Path, clock: ManualClock) -> None:
    alice = generate(tmp_path / "alice").public_key()
    made = make_keys(tmp_path / "keys", YEAR, clock, wanted=Wanted(threshold=2, also={Role.ROOT: [alice]}))
    assert sign_file(made.file, [tmp_path / "alice"]).file == tmp_path / "keys" / FILE


def test_a_list_that_waits_has_a_serial_that_no_other_gets(tmp_path: Path, clock: ManualClock) -> None:
    keys = tmp_path / "keys"
    make_keys(keys, YEAR, clock, wanted=Wanted(threshold=2))
    (keys / "root-2").rename(tmp_path / "away")
    assert [make_keys(keys, YEAR, clock).signed.roles.serial for _ in range(2)] == [2, 3]


def test_roots_are_other_peoples_keys(tmp_path: Path, clock: ManualClock) -> None:
    keys, theirs = tmp_path / "keys", tmp_path / "theirs"
    alice = generate(theirs).public_key()
    made = make_keys(keys, YEAR, clock, wanted=Wanted(threshold=2, also={Role.ROOT: [alice]}))
    assert (made.fresh[-1], len(made.lacks)) == ("root", 1), "as many are made as nobody else holds"
    assert sign_file(made.file, [theirs]).signed.by(alice).threshold == 2
    assert make_keys(keys, YEAR, clock, roots=[theirs]).signed.missing(made.signed.roles) == 0


def test_a_threshold_that_grows_makes_the_roots_that_it_needs(tmp_path: Path, clock: ManualClock) -> None:
    first = make_keys(tmp_path / "keys", YEAR, clock).signed
    grown = make_keys(tmp_path / "keys", YEAR, clock, wanted=Wanted(threshold=2))
    assert grown.fresh == ("root-2",)
    assert grown.signed.after(first.roles).threshold == 2
    with pytest.raises(UsageError, match=r"GP334 9 roots cannot"):
        make_keys(tmp_path / "keys", YEAR, clock, wanted=Wanted(threshold=9))


def test_a_role_keeps_its_old_key_while_it_changes_and_loses_it_after(tmp_path: Path, clock: ManualClock) -> None:
    keys = tmp_path / "keys"
    first = make_keys(keys, YEAR, clock).signed.roles
    (keys / Role.CONTROLLER).rename(tmp_path / "old")
    both = make_keys(keys, YEAR, clock, wanted=Wanted(keep=[Role.CONTROLLER])).signed.roles
    assert both.of(Role.CONTROLLER)[0] == first.of(Role.CONTROLLER)[0]
    assert len(both.of(Role.CONTROLLER)) == 2
    last = make_keys(keys, YEAR, clock).signed.roles
    assert last.of(Role.CONTROLLER) == both.of(Role.CONTROLLER)[1:]


def test_a_root_that_is_lost_goes_by_the_word_of_the_others(tmp_path: Path, clock: ManualClock) -> None:
    keys, alice, bob = tmp_path / "keys", tmp_path / "alice", tmp_path / "bob"
    others = [generate(alice).public_key(), generate(bob).public_key()]
    made = make_keys(keys, YEAR, clock, roots=[alice, bob], wanted=Wanted(threshold=2, also={Role.ROOT: others}))
    assert made.signed.missing(made.signed.roles) == 0
    lost = root_of(keys).fingerprint
    (keys / Role.ROOT).rename(tmp_path / "lost")
    later = make_keys(keys, YEAR, clock, roots=[alice, bob], wanted=Wanted(drop=[lost])).signed
    assert later.after(made.signed.roles).of(Role.ROOT) == tuple(others)


def test_a_key_that_is_to_go_is_named_by_what_gopub_shows_of_it_or_nothing_is_made(
    tmp_path: Path, clock: ManualClock
) -> None:
    """A stolen root that was named by sixteen digits stayed in the list, and nobody was told."""
    keys = tmp_path / "keys"
    first = make_keys(keys, YEAR, clock, wanted=Wanted(threshold=2)).signed.roles
    _, stolen = first.of(Role.ROOT)
    before = (keys / FILE).read_bytes()
    for wrong in (stolen.fingerprint[:7], "f" * 16, stolen.fingerprint[:-1] + "x", ""):
        with pytest.raises(UsageError, match=r"GP334 .*no key of the list of roles"):
            make_keys(keys, YEAR, clock, wanted=Wanted(threshold=1, drop=[wrong]))
    assert (keys / FILE).read_bytes() == before
    made = make_keys(keys, YEAR, clock, wanted=Wanted(threshold=1, drop=[stolen.fingerprint[:16]]))
    assert stolen not in made.signed.roles.of(Role.ROOT)


def test_a_stranger_signs_no_list_that_waits(tmp_path: Path, clock: ManualClock) -> None:
    keys = tmp_path / "keys"
    make_keys(keys, YEAR, clock, wanted=Wanted(threshold=2))
    (keys / "root-2").rename(tmp_path / "away")
    waiting = make_keys(keys, YEAR, clock).file
    before = waiting.read_bytes()
    generate(tmp_path / "stranger")
    with pytest.raises(RefusedError, match=r"GP311 .*no root of this list"):
        sign_file(waiting, [tmp_path / "stranger"])
    assert sign_file(waiting, []).lacks, "nobody signs: it is only looked at"
    assert waiting.read_bytes() == before
    whole = load_roles(keys / FILE)
    waiting.write_text(whole.text.replace("serial=1", "serial=0001"))
    with pytest.raises(RefusedError, match="GP332"):
        sign_file(waiting, [tmp_path / "away"])


def test_the_command_says_who_has_yet_to_sign(tmp_path: Path) -> None:
    run, keys, away = CliRunner(), tmp_path / "keys", tmp_path / "away"
    run.invoke(app, ["make", str(keys), "--threshold", "2"])
    (keys / "root-2").rename(away)
    made = run.invoke(app, ["make", str(keys), "--keep", "controller"])
    assert isinstance(made.exception, PartialError)
    assert (made.exception.code, str(keys / "roles.pending") in made.exception.hint) == ("GP486", True)
    told = json.loads(run.invoke(app, ["show", str(keys / "roles.pending"), "--json"]).stdout)
    assert (told["threshold"], told["missing"], told["signed"]) == (2, 1, [root_of(keys).fingerprint])
    shown = run.invoke(app, ["show", str(keys / "roles.pending")]).stdout
    assert f"root       {root_of(keys).fingerprint} signed" in shown
    assert "signed by 1 of its roots, 2 must: 1 missing" in shown
    signed = run.invoke(app, ["sign", str(keys / "roles.pending"), "--root", str(away)])
    assert signed.exit_code == 0, signed.output
    assert f"{keys / FILE}: serial 2" in signed.stdout
    assert "signed by 2 of its roots, 2 must" in run.invoke(app, ["show", str(keys / FILE)]).stdout


@pytest.mark.parametrize(
    "words", [["--keep", "deputy"], ["--also", "root"], ["--also", "deputy=x.pub"], ["--threshold", "0"]]
)
def test_what_is_no_role_or_key_is_said(tmp_path: Path, words: list[str]) -> None:
    refused = CliRunner().invoke(app, ["make", str(tmp_path / "keys"), *words])
    assert isinstance(refused.exception, UsageError)
    assert refused.exception.code == "GP334"
    assert not (tmp_path / "keys").exists()


def test_a_stranger_signs_no_list_that_counts_already(tmp_path: Path, clock: ManualClock) -> None:
    """Whose signature can never count is refused, not added: exit code 0 would say that it was of use."""
    keys = tmp_path / "keys"
    for _ in range(2):  # the first list, and one that has the first beside it
        made = make_keys(keys, 86400.0, clock)
        generate(tmp_path / "stranger")
        with pytest.raises(RefusedError, match="GP311"):
            sign_file(made.file, [tmp_path / "stranger"])
        assert load_roles(made.file).text == made.signed.text
        assert sign_file(made.file, [keys / "root"]).file == made.file, "control: a root may"

"""An admission is stated: beside the release and in the journal, by a key of its own, no more than was checked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from gopub.clock import ManualClock
from gopub.errors import GopubError, RefusedError
from gopub.evidence.admission import admit as decided
from gopub.evidence.frame import moment
from gopub.evidence.holders import Holders
from gopub.evidence.keys import KeySigner, PublicKey, generate
from gopub.evidence.roles import Role
from gopub.evidence.summary import Summary, read_summary, sign_summary
from gopub.evidence.together import Countersigned, Signatory
from gopub.journal import events as ev
from gopub.journal.state import State
from gopub.journal.stated import Stated
from gopub.journal.streams import stream_of
from gopub.journal.transitions import Phase
from gopub.plan.model import Outcome
from gopub.release.config import admission_keys, local_keys
from gopub.rollout import admit as admit_box
from gopub.rollout import plan as plan_box
from gopub.rollout import seat, stating
from gopub.rollout.close import close
from gopub.rollout.policy import at_hand
from gopub.rollout.run import Run
from gopub.rollout.turn import turn_around
from gopub.store.keys import admissions_prefix
from gopub.usecases.rollback import take_back
from gopub.usecases.start import open_run
from gopub.usecases.try_policy import hold_against
from gopub.views.explanation import explanation
from gopub.wiring import settings
from gopub.wiring.project import open_project
from tests.support.admission_world import Shop
from tests.support.rollout_world import Killed, chart
from tests.support.stating_world import KNOWN, policy, roles

LONG_AGO = 86400.0
"""When an admission of thirty days expired long ago."""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    made = Shop(tmp_path, monkeypatch)
    made.hosts_in_memory()
    monkeypatch.setattr(seat, "LEASE", 0.0)  # whoever comes next comes after a dead driver's lease
    return made


Change = Callable[[Run], None]


def at(seconds: float) -> Change:
    """Let it be that time for the driver."""

    def change(run: Run) -> None:
        run.ports = replace(run.ports, clock=ManualClock(seconds))

    return change


def keeping_in(store: Any) -> Change:
    """Let what is written go there."""

    def change(run: Run) -> None:
        run.ports = replace(run.ports, store=store)

    return change


def signed_by(opening: Callable[[], Any]) -> Change:
    """Let that one sign."""

    def change(run: Run) -> None:
        run.ports = replace(run.ports, admission=opening)

    return change


def enter(shop: Shop, change: Change = lambda _: None, rollout: str = "", *, plans: bool = False) -> State:
    """The box, by a new driver or by one that goes on."""

    async def boxes() -> State:
        async with open_run(replace(shop.wish(), rollout=rollout)) as run, run.driving():
            change(run)
            await admit_box.admit(run)
            if plans:
                await plan_box.plan(run)
            return run.state

    return asyncio.run(boxes())


def leave(shop: Shop, rollout: str) -> None:
    """Withdraw it, so that another one may begin."""

    async def boxes() -> None:
        async with open_run(replace(shop.wish(), rollout=rollout)) as run, run.driving():
            turn_around(run, Outcome.WITHDRAWN, 0, "enough")
            close(run, Outcome.WITHDRAWN, "enough")

    asyncio.run(boxes())


def admissions(state: State) -> list[ev.Admitted]:
    found = [entry.event for entry in settings.journal().read(stream_of(state.rollout))]
    return [event for event in found if isinstance(event, ev.Admitted)]


def kept(shop: Shop) -> list[str]:
    """What lies beside the release, the oldest first."""
    prefix = admissions_prefix(shop.signed.release_id, "lab", "linux/amd64")
    names = asyncio.run(shop.store.list(prefix))
    return [asyncio.run(shop.store.get(name, limit=9000)).decode() for name in names]


def admission_key() -> PublicKey:
    return generate(admission_keys()).public_key()


def said(one: Stated) -> Summary:
    return read_summary(one.text.encode()).by(admission_key())


def test_it_lies_beside_the_release_and_in_the_journal_and_says_what_was_admitted(shop: Shop) -> None:
    state = enter(shop)
    (stated,) = state.statements
    assert kept(shop) == [stated.text]
    assert admissions(state) == [ev.Admitted(admissions(state)[0].checks, (stated,))]
    files, summary = shop.signed.release.targets["linux/amd64"], said(stated)
    assert (summary.app, summary.env, summary.target) == ("hello", "lab", "linux/amd64"), "windows is no host here"
    assert (summary.release, summary.archive, summary.binary) == (
        shop.signed.release_id,
        files.archive.digest,
        files.binary.digest,
    )
    assert summary.level == stated.level == "SLSA_BUILD_LEVEL_1"
    assert summary.expires == stated.expires


def test_it_is_by_another_key_than_the_release_which_can_make_none(shop: Shop) -> None:
    (stated,) = enter(shop).statements
    summary = said(stated)
    release_key = shop.signer
    assert admission_key() != release_key.public
    with pytest.raises(RefusedError, match="GP311"):
        read_summary(stated.text.encode()).by(release_key.public)
    forged = sign_summary(release_key, replace(summary, binary="6" * 64))
    with pytest.raises(RefusedError, match="GP311"):
        forged.by(admission_key())


def test_it_lasts_as_long_as_the_project_says(shop: Shop) -> None:
    policy(shop, "{statement: {lasts: 2h}}")
    summary = said(enter(shop, at(LONG_AGO)).statements[0])
    assert (summary.verified, summary.expires) == (moment(LONG_AGO), moment(LONG_AGO + 7200))


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_its_level_is_what_the_policy_trusts_the_builder_with(shop: Shop, level: int) -> None:
    """Whatever the builder says of itself, also in what the right key signed."""
    boast = {"verifiedLevels": ["SLSA_BUILD_LEVEL_3"], "slsaLevel": 3}
    shop.restate(lambda predicate: predicate["runDetails"]["builder"].update(boast))
    policy(shop, f"{{provenance: {{level: {level}}}}}")
    assert said(enter(shop).statements[0]).level == f"SLSA_BUILD_LEVEL_{level}"


def test_another_policy_has_another_digest_and_the_same_has_the_same(shop: Shop) -> None:
    digests = []
    for admit in ("{}", "{}", "{fresh: 3650d}", "{provenance: {level: 2}}", f"{{key: {local_keys() / 'gopub.pub'}}}"):
        policy(shop, admit)
        state = enter(shop)
        digests.append(said(state.statements[0]).policy)
        leave(shop, state.rollout)
    assert digests[0] == digests[1] == digests[4], "the same key by another name"
    assert len(set(digests)) == 3


@pytest.mark.parametrize("mode", ["warn", "enforce"])
def test_nothing_is_stated_where_a_check_failed(shop: Shop, mode: str) -> None:
    policy(shop, f"{{provenance: {{ref: 'refs/tags/v*'}}, mode: {mode}}}")
    state = enter(shop)
    assert (state.admitted, state.statements, kept(shop)) == (mode == "warn", (), [])
    if mode == "warn":
        assert "source: built at" in admissions(state)[0].unstated


def test_a_policy_that_only_tells_states_what_passed_all_of_it(shop: Shop) -> None:
    policy(shop, "{provenance: {ref: main}, mode: warn}")
    assert len(kept(shop)) == 0
    assert said(enter(shop).statements[0]).env == "lab"


def test_where_a_host_asks_for_what_cannot_be_stated_the_rollout_is_refused(shop: Shop) -> None:
    policy(shop, "{provenance: {ref: 'refs/tags/v*'}, mode: warn}")
    shop.machines["h1"].enrolled = True
    state = enter(shop)
    assert state.closed is not None
    assert state.closed.outcome is Outcome.REFUSED
    assert state.closed.reason.startswith("GP499 nothing can be stated of a release that breaks the policy (source: ")
    assert state.closed.reason.endswith("and enrolled hosts ask for it: h1")
    assert (admissions(state), shop.machines["h1"].folders) == ([], {})
    found = shop.rehearse()
    assert found.refusal is not None
    assert found.refusal.code == "GP499", "and a dry run says so before"
    shop.machines["h1"].enrolled = False
    assert shop.rehearse().refusal is None
    assert enter(shop).admitted, "a control: hosts that are not enrolled take it"


# Keys


def test_the_release_key_may_not_sign_it(shop: Shop) -> None:
    policy(shop, f"{{statement: {{key: {local_keys() / 'gopub.key'}}}}}")
    state = enter(shop)
    assert state.closed is not None
    assert state.closed.outcome is Outcome.REFUSED
    assert state.closed.reason.startswith(f"GP354 key {shop.signer.public.fingerprint[:16]}")
    assert (admissions(state), kept(shop)) == ([], [])


def test_a_key_that_the_root_names_signs_it(shop: Shop) -> None:
    keys = roles(shop)
    policy(shop, f"{{{KNOWN}, statement: {{key: keys/admission/gopub.key}}}}")
    state = enter(shop)
    assert any(check.startswith("roles: key ") for check in admissions(state)[0].checks)
    text = state.statements[0].text.encode()
    read_summary(text).by(generate(keys / Role.ADMISSION).public_key())
    with pytest.raises(RefusedError, match="GP311"):
        read_summary(text).by(generate(keys / Role.CONTROLLER).public_key())


@pytest.mark.parametrize("key", ["", "controller", "root", "release"])
def test_no_other_key_does(shop: Shop, key: str) -> None:
    roles(shop)
    named = f", statement: {{key: keys/{key}/gopub.key}}" if key else ""
    policy(shop, f"{{{KNOWN}{named}}}")
    state = enter(shop)
    assert state.closed is not None
    assert state.closed.reason.startswith("GP354 key ")
    assert kept(shop) == []


def test_a_list_that_has_expired_lets_nothing_in(shop: Shop) -> None:
    roles(shop, lasting=60.0, clock=ManualClock(LONG_AGO))
    policy(shop, f"{{{KNOWN}, statement: {{key: keys/admission/gopub.key}}}}")
    assert "roles: the list of roles 1 has expired: it held until 1970-01-02T00:01:00Z" in shop.complaint()


def test_a_release_by_a_key_that_the_list_does_not_name_is_refused(shop: Shop) -> None:
    keys = roles(shop)
    named = "statement: {key: keys/admission/gopub.key}, signed: [{key: keys/admission/gopub.pub}]"
    policy(shop, f"{{{KNOWN}, {named}}}")
    admission = KeySigner.load(keys / Role.ADMISSION / "gopub.key")
    shop.forge(lambda _: None, admission)
    said = shop.complaint()
    assert f"roles: key {admission.public.fingerprint[:16]} does not hold the role release" in said


@pytest.mark.parametrize("named", [False, True])
def test_a_further_signature_counts_by_a_key_that_the_list_names(shop: Shop, *, named: bool) -> None:
    considered = asyncio.run(hold_against(open_project(shop.project), "lab", "1.0.0")).considered
    first, second = shop.signer.public.fingerprint, shop.stranger.public.fingerprint
    holders = Holders(1, moment(2e9), 2e9, (first, second) if named else (first,), ())
    policy = replace(considered.policy, accepted_keys=(), together=((first, second),), roles=holders)
    facts = replace(considered.facts, now=1e9, countersigned=Countersigned((Signatory(second),)))
    failed = [check.name for check in decided(facts, policy).checks if not check.passed]
    assert failed == ([] if named else ["signer"])


def test_a_list_of_another_root_is_refused(shop: Shop) -> None:
    roles(shop)
    policy(shop, "{roles: {file: keys/roles, root: keys/release/gopub.pub}}")
    assert shop.complaint().startswith("GP311 the list of roles 1 is not signed by a root that is believed")


# Time


def test_its_serial_grows_with_each_seat_and_leaves_room_for_going_back(shop: Shop) -> None:
    first = enter(shop, at(LONG_AGO))
    assert said(first.statements[0]).serial == 2 * first.epoch
    again = enter(shop, rollout=first.rollout)
    assert again.epoch > first.epoch, "a new driver has a seat of its own"
    assert said(again.statements[0]).serial == 2 * again.epoch
    leave(shop, again.rollout)
    second = enter(shop)
    assert said(second.statements[0]).serial == 2 * second.epoch > 2 * again.epoch + 1


def test_the_journal_says_which_key_signed_it(shop: Shop) -> None:
    (stated,) = enter(shop).statements
    assert stated.key == admission_key().fingerprint


def test_each_rollout_is_admitted_anew_and_what_was_stated_before_stays(shop: Shop) -> None:
    first = enter(shop, at(LONG_AGO))
    leave(shop, first.rollout)
    second = enter(shop)
    assert kept(shop) == [first.statements[0].text, second.statements[0].text]
    assert said(first.statements[0]).expired(LONG_AGO + 30 * 86400)


def test_what_expired_before_it_was_planned_is_admitted_anew(shop: Shop) -> None:
    first = enter(shop, at(LONG_AGO))
    assert first.phase is Phase.ADMITTED
    second = enter(shop, rollout=first.rollout)
    assert len(admissions(second)) == len(kept(shop)) == 2
    third = enter(shop, rollout=first.rollout)
    assert third.statements == second.statements, "a control: one that holds is not made again"


def test_what_expired_before_it_was_planned_and_may_not_enter_any_more_is_refused(shop: Shop) -> None:
    first = enter(shop, at(LONG_AGO))
    policy(shop, "{provenance: {ref: 'refs/tags/v*'}}")
    state = enter(shop, rollout=first.rollout)
    assert state.closed is not None
    assert state.closed.outcome is Outcome.REFUSED
    assert (len(admissions(state)), len(kept(shop))) == (1, 1)


def test_what_is_planned_goes_on_when_it_has_expired(shop: Shop) -> None:
    first = enter(shop, at(LONG_AGO), plans=True)
    assert first.plan is not None
    second = enter(shop, rollout=first.rollout)
    assert (second.closed, second.back, second.plan) == (None, None, first.plan)
    assert len(admissions(second)) == 1


def test_a_release_whose_admission_expired_is_brought_back(shop: Shop) -> None:
    """Also where the list of roles expired, and the admission's key is gone: no rollback asks for any of it."""
    newer = shop.publish("1.1.0", commit="1" * 40)
    for version in ("1.0.0", "1.1.0"):
        asyncio.run(whole(shop, version, at(LONG_AGO)))
    roles(shop, lasting=60.0, clock=ManualClock(LONG_AGO))
    policy(shop, f"{{{KNOWN}, statement: {{key: nowhere.key}}}}")
    assert shop.machines["h1"].current.startswith(newer.release_id[:12])
    told = asyncio.run(take_back("hello", "lab", reason="it is slow"))
    assert told["outcome"] == "rolled back"
    assert shop.machines["h1"].current.startswith(shop.signed.release_id[:12])


async def whole(shop: Shop, version: str, change: Change) -> None:
    """A rollout to its end."""
    async with open_run(shop.wish(version)) as run, run.driving():
        change(run)
        await admit_box.admit(run)
        await plan_box.plan(run)
        assert run.state.plan is not None, run.state
        await chart(run, "good")
        assert run.state.closed is not None
        assert run.state.closed.outcome is Outcome.PROMOTED, run.state.closed


# Several kinds of hosts, and what people read


async def stated_for(
    shop: Shop, *targets: str, change: Change = lambda _: None, limit: float = stating.SIGNS_WITHIN
) -> tuple[Stated, ...]:
    """What is stated where hosts are of these kinds."""
    async with open_run(shop.wish()) as run, run.driving():
        change(run)
        return await stating.state(run.ports, at_hand(run), targets, epoch=run.seat.epoch, limit=limit)


def test_each_kind_of_host_has_a_statement_of_its_own(shop: Shop) -> None:
    made = [said(one) for one in asyncio.run(stated_for(shop, "linux/amd64", "windows/amd64"))]
    assert [one.target for one in made] == ["linux/amd64", "windows/amd64"]
    targets = shop.signed.release.targets
    assert [one.binary for one in made] == [targets[one.target].binary.digest for one in made]
    assert len({one.binary for one in made}) == len({one.archive for one in made}) == 2


def test_of_several_that_cannot_all_be_kept_each_that_is_there_is_whole(shop: Shop) -> None:
    failing = Failing(shop.store, GopubError("GP342", "the disk is full"), first=1)
    with pytest.raises(GopubError, match="GP355"):
        asyncio.run(stated_for(shop, "linux/amd64", "windows/amd64", change=keeping_in(failing)))
    (text,) = kept(shop)
    assert read_summary(text.encode()).by(admission_key()).target == "linux/amd64"


@pytest.mark.parametrize("mode", ["warn", "enforce"])
def test_explain_tells_what_was_stated_or_why_nothing_was(shop: Shop, mode: str) -> None:
    if mode == "warn":
        policy(shop, "{provenance: {ref: 'refs/tags/v*'}, mode: warn}")
    made = enter(shop)
    lines = "\n".join(explanation(settings.journal().read(stream_of(made.rollout))))
    if mode == "warn":
        assert "nothing was stated: only told, not refused: source: built at 'main'" in lines
    else:
        (one,) = made.statements
        assert f"stated for linux/amd64 at SLSA_BUILD_LEVEL_1 until {one.expires}: {one.place}" in lines


# Stores that fail, and drivers that die


class Failing:
    """A store that reads, and fails where it is to write: before it has the object, or after."""

    def __init__(self, store: Any, error: BaseException, *, after: bool = False, first: int = 0) -> None:
        self._store, self._error, self._after, self._left = store, error, after, first

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def put(self, key: str, data: bytes, *, digest: str) -> None:
        self._left -= 1
        if self._after or self._left >= 0:
            await self._store.put(key, data, digest=digest)
        if self._left < 0:
            raise self._error


@pytest.mark.parametrize("after", [False, True])
def test_where_it_cannot_be_kept_nothing_is_admitted_or_touched(shop: Shop, *, after: bool) -> None:
    error = GopubError("GP342", "the store refuses: access denied")
    state = enter(shop, keeping_in(Failing(shop.store, error, after=after)), plans=True)
    assert (state.admitted, state.plan) == (False, None)
    assert state.back is not None
    assert state.back.outcome is Outcome.WITHDRAWN
    assert state.back.reason == (
        "GP355 the admission into lab cannot be kept beside the release: GP342 the store refuses: access denied"
    )
    assert admissions(state) == []
    assert (len(kept(shop)), shop.machines["h1"].folders) == (after, {})


def test_where_a_real_store_has_no_place_for_it_nothing_is_admitted(shop: Shop) -> None:
    """Whoever can write the store put a file where the folder is due."""
    shop.put(f"releases/{shop.signed.release_id}/admissions", b"")
    state = enter(shop)
    assert state.back is not None
    assert state.back.reason.startswith("GP355 the admission into lab cannot be kept beside the release: GP34")
    assert admissions(state) == []


@pytest.mark.parametrize("after", [False, True])
def test_a_driver_that_dies_between_store_and_journal_leaves_what_the_next_one_makes_whole(
    shop: Shop, *, after: bool
) -> None:
    with pytest.raises(Killed):
        enter(shop, keeping_in(Failing(shop.store, Killed(), after=after)))
    (rollout,) = (stream.rpartition("/")[2] for stream in settings.journal().streams("rollout/"))
    state = enter(shop, rollout=rollout, plans=True)
    assert (state.phase, len(admissions(state))) == (Phase.PLANNED, 1)
    assert state.statements[0].text in kept(shop)
    assert len(kept(shop)) == 1 + after
    assert {read_summary(text.encode()).by(admission_key()).release for text in kept(shop)} == {shop.signed.release_id}


@pytest.mark.parametrize("opens", [True, False])
def test_a_signer_that_does_not_answer_is_not_waited_for_for_ever(shop: Shop, *, opens: bool) -> None:
    over = Event()

    class Silent:
        """A key service that takes the order and says nothing."""

        public = shop.stranger.public

        def sign(self, _: bytes) -> bytes:
            over.wait()
            return b""

    def open_it() -> Silent:
        if not opens:
            over.wait()
        return Silent()

    async def asked() -> None:
        try:
            with pytest.raises(GopubError, match=r"GP300 whoever signs admissions did not answer within 50ms"):
                await stated_for(shop, "linux/amd64", change=signed_by(open_it), limit=0.05)
        finally:
            over.set()

    asyncio.run(asked())
    assert kept(shop) == []


@pytest.mark.parametrize("given", [True, False])
def test_a_connection_signs_it(shop: Shop, monkeypatch: pytest.MonkeyPatch, *, given: bool) -> None:
    files = generate(shop.path / "shut", "open sesame")
    with (shop.project / "connections.yaml").open("a") as file:
        opens = "passphrase: {env: ADMISSION_PASS}"
        file.write(f"adm: {{kind: key, private: {{file: {files.private}}}, public: {files.public}, {opens}}}\n")
    policy(shop, "{statement: {key: adm}}")
    if given:
        monkeypatch.setenv("ADMISSION_PASS", "open sesame")
    state = enter(shop)
    if given:
        assert read_summary(state.statements[0].text.encode()).by(files.public_key()).env == "lab"
    else:
        assert state.back is not None
        assert (state.back.outcome, state.back.reason[:5]) == (Outcome.WITHDRAWN, "GP142")
        assert kept(shop) == []
    assert not admission_keys().exists(), "no local pair is made where another key is named"


def test_a_key_with_a_passphrase_that_nobody_gave_admits_nothing(shop: Shop) -> None:
    generate(admission_keys(), "open sesame")
    state = enter(shop)
    assert state.back is not None
    assert state.back.outcome is Outcome.WITHDRAWN
    assert "has a passphrase, which was not given" in state.back.reason
    assert (admissions(state), kept(shop)) == ([], [])

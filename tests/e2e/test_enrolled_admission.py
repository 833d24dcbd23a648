"""Enrolled hosts let in what was admitted alone: refused is refused before anything is touched; going back never is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import pytest

from gopub.clock import new_token
from gopub.evidence.keys import KeySigner, private_key_in
from gopub.evidence.stating import serial_of
from gopub.evidence.summary import Summary, sign_summary
from gopub.fleet.backends.ssh import SshFleet
from gopub.fleet.facts import Fence
from gopub.fleet.orders import Record, Verb
from gopub.fleet.signed import OrderKey
from tests.e2e.enrolled_ground import ENV, Enrolled
from tests.e2e.host_kit import APP, Cargo, Site, open_site
from tests.support.enrolled import fresh_signer

pytest_plugins = ("tests.e2e.enrolled_fixtures",)
pytestmark = pytest.mark.e2e


class Instance:
    """One instance on an enrolled host, whoever orders it."""

    def __init__(self, enrolled: Enrolled, site: Site) -> None:
        self.site = site
        self.admits = KeySigner.load(private_key_in(enrolled.keys / "admission").private)

    async def cargo(self, version: str) -> Cargo:
        made = await self.site.cargo(version)
        return replace(made, wanted=replace(made.wanted, env=ENV))

    def admitted(self, cargo: Cargo, by: KeySigner | None = None, **over: object) -> Mapping[str, str]:
        """An admission of that release under the seat of now, but for what is said."""
        wanted, signer = cargo.wanted, by or self.admits
        said = Summary(
            app=APP, env=ENV, target="linux/amd64", release=wanted.release, archive=wanted.digests["archive"],
            binary=wanted.digests["binary"], policy="4" * 64, verified="2026-11-30T12:00:00Z",
            expires="2026-12-30T12:00:00Z", level="SLSA_BUILD_LEVEL_1", serial=serial_of(self.site.fence.epoch),
        )  # fmt: skip
        return sign_summary(signer, replace(said, **over)).carried(signer.public.fingerprint)  # type: ignore[arg-type]

    def next_seat(self) -> None:
        self.site.fence = Fence(self.site.fence.epoch + 1, new_token())

    async def release(self, cargo: Cargo, admission: Mapping[str, str] | None = None) -> Record:
        admission = self.admitted(cargo) if admission is None else admission
        for verb in ("stage", "switch"):
            record = await self.site.do(verb, cargo, admission=admission)
            if not record.ok:
                return record
        return await self.site.do("verify", cargo)

    async def stands(self) -> tuple[str, int, str]:
        """What runs, as which process, and what is staged."""
        facts = await self.site.facts()
        return facts.runs, facts.unit.main_pid, " ".join(facts.releases)


@pytest.fixture
async def fleet(enrolled: Enrolled) -> AsyncIterator[SshFleet]:
    signer = KeySigner.load(private_key_in(enrolled.keys / "controller").private)
    made = SshFleet(orders=OrderKey(signer.public.fingerprint, signer.sign))
    yield made
    await made.close()


@pytest.fixture
async def here(enrolled: Enrolled, fleet: SshFleet) -> AsyncIterator[Instance]:
    site = await open_site(enrolled.lab, fleet, "app1")
    site.fence = Fence((await site.facts()).seen + 1, new_token())  # its app and env were admitted there before
    yield Instance(enrolled, site)
    await site.close()


async def test_what_was_not_admitted_does_not_enter_and_nothing_is_touched(here: Instance) -> None:
    old, new = await here.cargo("1.0.0"), await here.cargo("2.0.0")
    assert (await here.release(old)).ok
    here.next_seat()
    before = await here.stands()
    attacks = {
        "GP467": {},
        "GP468": here.admitted(new, fresh_signer()),
        "GP469": here.admitted(old),
        "GP470": here.admitted(new, serial=0),
        "GP471": here.admitted(new, serial=serial_of(here.site.fence.epoch) + 1),
    }
    forged = {**here.admitted(new), "level": "SLSA_BUILD_LEVEL_3"}
    for code, admission in (*attacks.items(), ("GP468", forged)):
        assert (await here.site.do("stage", new, admission=admission)).code == code
        assert await here.stands() == before
    assert (await here.site.do("stage", new, admission=here.admitted(new))).ok
    held = await here.stands()
    assert held[:2] == before[:2]
    for code, admission in (*attacks.items(), ("GP468", forged)):
        assert (await here.site.do("switch", new, admission=admission)).code == code
        assert await here.stands() == held
    assert (await here.site.do("switch", new, admission=here.admitted(new))).ok, "a control"
    assert (await here.stands())[0] == new.folder
    await here.site.whole()


async def test_going_back_asks_for_no_admission_and_what_was_left_needs_a_new_one(here: Instance) -> None:
    old, new = await here.cargo("1.0.0"), await here.cargo("2.0.0")
    assert (await here.release(old)).ok
    here.next_seat()
    admission = here.admitted(new)
    assert (await here.release(new, admission)).ok
    assert (await here.site.do("rollback", old)).ok
    assert (await here.stands())[0] == old.folder
    assert (await here.site.do("switch", new, admission=admission)).code == "GP470"
    here.next_seat()
    assert (await here.site.do("switch", new, admission=admission)).code == "GP470", "whoever brings it later"
    assert (await here.stands())[0] == old.folder
    assert (await here.release(new)).ok, "a control: admitted anew"
    here.next_seat()
    assert (await here.site.do("stop", replace(new, wanted=replace(new.wanted, release="", render="")))).ok
    assert (await here.stands())[0] == ""
    assert (await here.site.do("rollback", old)).ok, "the older one, by its name"
    assert (await here.stands())[0] == old.folder


async def test_what_somebody_laid_there_is_not_gone_back_to(here: Instance) -> None:
    """Whoever has the controller's key, and a way to write a folder, still has nothing run that was not admitted."""
    old = await here.cargo("1.0.0")
    assert (await here.release(old)).ok
    before = await here.stands()
    release, render = "d" * 12, old.folder.partition("-")[2]
    place = f"{here.site.home}/releases"
    await here.site.sh(
        f"cd {place} && cp -a {old.folder} {release}-{render} && cd {release}-{render} && echo >>bin/{APP} && "
        f"sed -i -e s/^release=.*/release={release}/ -e s/^binary=.*/binary=$(sha256sum <bin/{APP} | cut -c-64)/ "
        ".gopub-manifest"
    )
    laid = replace(old, wanted=replace(old.wanted, release=release, digests={**old.wanted.digests, "binary": ""}))
    assert (await here.site.do("rollback", laid)).code == "GP469"
    assert (await here.stands())[:2] == before[:2]


VERBS: tuple[Verb, ...] = ("stage", "switch")


async def test_control_a_host_that_is_not_enrolled_takes_all_of_it(enrolled: Enrolled) -> None:
    assert (await enrolled.gopub("host", "unenroll", "app3", "--env", ENV, "--yes")).code == 0
    plain = SshFleet()
    site = await open_site(enrolled.lab, plain, "app3")
    try:
        here = Instance(enrolled, site)
        old, new = await here.cargo("1.0.0"), await here.cargo("2.0.0")
        for cargo in (old, new):
            for verb in VERBS:
                assert (await site.do(verb, cargo)).ok
        assert (await site.do("rollback", old)).ok
        assert (await site.do("switch", new)).ok, "what was gone back from"
        assert (await here.stands())[0] == new.folder
    finally:
        await site.close()
        await plain.close()
        assert (await enrolled.enrol()).code == 0

"""An enrolled host lets in what was admitted, nothing older than what it saw; and going back is never refused."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.evidence.keys import KeySigner, generate
from gopub.fleet.orders import Order, Verb
from tests.support.admitting_host import (
    ARCHIVE,
    BINARY,
    FOLDER,
    GOOD,
    RELEASE,
    SHELLS,
    AdmittingHost,
    Asked,
    carried,
)
from tests.support.memory_admission import MemoryAdmission

OLDER = "0" * 12 + "-" + "e" * 12
OTHER = "5" * 64


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> KeySigner:
    return generate(tmp_path_factory.mktemp("admission")).signer()


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> KeySigner:
    return generate(tmp_path_factory.mktemp("stranger")).signer()


@pytest.fixture(params=SHELLS, ids=lambda argv: argv[0])
def shell(request: pytest.FixtureRequest) -> Sequence[str]:
    found: Sequence[str] = request.param
    return found


@pytest.fixture
def host(tmp_path: Path, signer: KeySigner, shell: Sequence[str]) -> AdmittingHost:
    made = AdmittingHost(tmp_path / "host", shell)
    made.believe("admission", signer.public)
    made.stage()
    return made


@pytest.fixture
def good(signer: KeySigner) -> Asked:
    return Asked(admission=carried(signer))


def refused(host: AdmittingHost, asked: Asked) -> str:
    """The code; nothing that the host remembers may change."""
    before = host.memory
    said = host.ask(asked)
    assert host.memory == before, said
    return said.code


# What is let in


def test_what_was_admitted_is_let_in_and_may_be_gone_back_to(host: AdmittingHost, good: Asked) -> None:
    assert host.ask(good.but(verb="stage", archive=ARCHIVE)).code == ""
    assert host.ran() == {f"{FOLDER} {BINARY}"}
    assert host.ask(good).code == ""
    assert host.ask(Asked("rollback", 43)).code == ""
    assert host.ran() == {f"{FOLDER} {BINARY}"}


def test_what_is_remembered_is_root_s_alone(host: AdmittingHost, good: Asked) -> None:
    assert host.ask(good).code == ""
    for name in ("admitted", "ran"):
        assert (host.root / "var/lib/gopub" / name).stat().st_mode & 0o777 == 0o700


def test_another_verb_needs_no_admission(host: AdmittingHost) -> None:
    for verb in ("verify", "status", "prune", "facts", "adopt", "disown"):
        assert host.ask(Asked(verb)).code == ""
    assert host.memory == {}


def test_the_same_admission_goes_on_by_the_next_driver_and_to_the_end(host: AdmittingHost, good: Asked) -> None:
    """A driver that dies leaves what was stated under its seat; so do hosts that stay on stable until the end."""
    for epoch in (42, 43, 44, 10**15 - 1):
        assert host.ask(good.but(epoch=epoch)).code == ""


def test_the_next_one_takes_its_place(host: AdmittingHost, signer: KeySigner, good: Asked) -> None:
    assert host.ask(good).code == ""
    later = good.but(epoch=43, admission=carried(signer, replace(GOOD, serial=86)))
    assert host.ask(later).code == ""
    assert refused(host, good.but(epoch=43)) == "GP470"
    assert host.ask(later.but(epoch=44)).code == "", "a control: the newest stays good"


# What is not


def test_without_an_admission_nothing_enters(host: AdmittingHost, good: Asked) -> None:
    assert refused(host, good.but(admission={})) == "GP467"
    for name in ("key", "signature", "serial"):
        assert refused(host, good.but(admission={**good.admission, name: ""})) == "GP467", name
    assert refused(host, good.but(verb="stage", archive=ARCHIVE, admission={})) == "GP467"
    assert host.ask(good).code == "", "a control"


def test_one_that_an_older_version_stated_has_no_serial(host: AdmittingHost, signer: KeySigner, good: Asked) -> None:
    said = host.ask(good.but(admission=carried(signer, replace(GOOD, serial=None))))
    assert (said.code, said.message) == ("GP467", "the admission has no serial: an older version of gopub stated it")


FORGED = {
    "app": "billing", "env": "prod2", "target": "linux/arm64", "verified": "2026-11-30T12:00:01Z", "serial": "85",
    "expires": "2036-12-30T12:00:00Z", "level": "SLSA_BUILD_LEVEL_3", "verifier": "gopub:other",
} | dict.fromkeys(("release", "archive", "binary", "policy"), OTHER)  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_a_changed_value_is_not_signed(host: AdmittingHost, good: Asked, name: str) -> None:
    """Also where the order was changed alike: what decides is the signature, before anything is compared."""
    changed = {"app": "app", "env": "env", "release": "release", "binary": "binary"}.get(name)
    forged = good.but(admission={**good.admission, name: FORGED[name]}, **({changed: FORGED[name]} if changed else {}))
    assert refused(host, forged) == "GP468"
    assert host.ask(good).code == "", "a control"


@pytest.mark.parametrize(
    "value", ["", " ", "a b", 'a"b', "a'b", "$(touch x)", "`id`", "a\\b", "a\tb", "é", "a;b", "*", "%s", "a\nb"]
)
@pytest.mark.parametrize("name", ["app", "verifier", "release", "serial", "signature", "key"])
def test_no_value_breaks_out(host: AdmittingHost, good: Asked, name: str, value: str) -> None:
    code = refused(host, good.but(admission={**good.admission, name: value}))
    assert code in ("GP467", "GP468")
    assert not (host.root / "x").exists()


@pytest.mark.parametrize("key", ["../controller/" + "c" * 64, "C" * 64, "c" * 63, "c" * 65, "c" * 64, "."])
def test_a_key_of_no_admission_is_no_key(host: AdmittingHost, good: Asked, key: str) -> None:
    assert refused(host, good.but(admission={**good.admission, "key": key})) == "GP468"


def test_another_key_signs_nothing_here_until_the_root_says_so(
    host: AdmittingHost, stranger: KeySigner, good: Asked
) -> None:
    asked = good.but(admission=carried(stranger))
    assert refused(host, asked) == "GP468"
    host.believe("controller", stranger.public)
    assert refused(host, asked) == "GP468", "the controller's key admits nothing"
    host.believe("admission", stranger.public)
    assert host.ask(asked).code == "", "a control"
    host.revoke("admission", stranger.public.fingerprint)
    assert refused(host, asked) == "GP468"


@pytest.mark.parametrize(
    "changes",
    [{"app": "billing"}, {"env": "prod2"}, {"release": OTHER}, {"release": RELEASE[:12]}, {"binary": OTHER},
     {"binary": ""}, {"verb": "stage", "archive": OTHER}, {"verb": "stage", "archive": ""}],
    ids=str,
)  # fmt: skip
def test_of_something_else_it_does_not_count(host: AdmittingHost, good: Asked, changes: dict[str, str]) -> None:
    assert refused(host, good.but(**changes)) == "GP469"


def test_of_another_kind_of_machine_it_does_not_count(host: AdmittingHost, signer: KeySigner, good: Asked) -> None:
    assert refused(host, good.but(admission=carried(signer, replace(GOOD, target="linux/arm64")))) == "GP469"


def test_one_of_a_seat_that_never_was_is_refused(host: AdmittingHost, signer: KeySigner, good: Asked) -> None:
    """Else one theft of the key would keep every later admission out."""
    assert refused(host, good.but(admission=carried(signer, replace(GOOD, serial=85)))) == "GP471"
    assert host.ask(good.but(epoch=43, admission=carried(signer, replace(GOOD, serial=85)))).code == "", "a control"


@pytest.mark.parametrize("epoch", ["", "x", "042", "-1", "1" * 17])
def test_an_epoch_that_is_none_is_refused(host: AdmittingHost, good: Asked, epoch: str) -> None:
    assert refused(host, good.but(epoch=epoch)) == "GP430"
    assert refused(host, Asked("stop", epoch)) == "GP430"


@pytest.mark.parametrize("env", ["", "../x", ".x", "a/b", "a b", "a\nb"])
def test_an_environment_is_no_path(host: AdmittingHost, env: str) -> None:
    assert refused(host, Asked("stop", env=env)) == "GP430"


@pytest.mark.parametrize(
    ("line", "change"),
    [
        ('admission_verified || fail GP468 "the admission is not signed by key $o_admission_key, or was changed"',
         {"level": "SLSA_BUILD_LEVEL_3"}),
        ('fail GP470 "$why, this host saw $held: it was admitted anew, or gone back from"', {}),
    ],
    ids=["signature", "serial"],
)  # fmt: skip
def test_control_without_the_check_the_attack_works(
    host: AdmittingHost, signer: KeySigner, good: Asked, line: str, change: dict[str, str]
) -> None:
    if not change:
        assert host.ask(good.but(epoch=50, admission=carried(signer, replace(GOOD, serial=100)))).code == ""
    attack = good.but(epoch=50, admission={**good.admission, **change})
    assert refused(host, attack) in ("GP468", "GP470")
    host.without = line
    assert host.ask(attack).code == ""


# Going back


def test_what_is_gone_back_from_needs_a_new_admission(host: AdmittingHost, signer: KeySigner, good: Asked) -> None:
    host.stage(OLDER)
    host.enrolled_with(f"{OLDER} {BINARY}")
    assert host.ask(good).code == ""
    assert host.ask(Asked("rollback", 42, release="0" * 12, render="e" * 12)).code == ""
    assert refused(host, good) == "GP470", "by the same driver"
    assert refused(host, good.but(epoch=43)) == "GP470", "by the next one"
    again = good.but(epoch=43, admission=carried(signer, replace(GOOD, serial=86)))
    assert host.ask(again).code == "", "a control: admitted anew it enters"


def test_so_does_what_was_stopped(host: AdmittingHost, good: Asked) -> None:
    """The first release of an environment has nothing else to go back to."""
    assert host.ask(good).code == ""
    assert host.ask(Asked("stop", 42, release="", render="", binary="")).code == ""
    assert refused(host, good) == "GP470"


@pytest.mark.parametrize("verb", ["rollback", "stop"])
def test_going_back_asks_for_no_admission_key(host: AdmittingHost, signer: KeySigner, good: Asked, verb: str) -> None:
    """It was taken from the list, or lies where nobody reaches it."""
    assert host.ask(good).code == ""
    host.revoke("admission", signer.public.fingerprint)
    assert refused(host, good) == "GP468"
    for epoch in (42, 43, 42):
        assert host.ask(Asked(verb, epoch)).code == ""


def test_a_way_back_that_reached_half_of_the_hosts_is_gone_again(
    tmp_path: Path, signer: KeySigner, good: Asked, shell: Sequence[str]
) -> None:
    hosts = [AdmittingHost(tmp_path / name, shell) for name in ("h1", "h2")]
    back = Asked("rollback", 42, release="0" * 12, render="e" * 12)
    for host in hosts:
        host.believe("admission", signer.public)
        host.stage()
        host.stage(OLDER)
        host.enrolled_with(f"{OLDER} {BINARY}")
        assert host.ask(good).code == ""
    assert hosts[0].ask(back).code == ""
    for host in hosts:  # the driver died, and the next one goes on going back; then the release enters anew
        assert host.ask(back.but(epoch=43)).code == ""
    for host in hosts:
        assert refused(host, good.but(epoch=44)) == "GP470"
        assert host.ask(good.but(epoch=44, admission=carried(signer, replace(GOOD, serial=88)))).code == ""


def test_what_is_named_by_nothing_is_the_one_before(host: AdmittingHost, good: Asked) -> None:
    assert host.ask(good).code == ""
    state = host.root / "opt/orders/.gopub"
    state.mkdir()
    (state / "previous").write_text(f"{FOLDER}\n")
    said = host.ask(Asked("rollback", 43, release="", render="", binary=""))
    assert (said.code, said.values) == ("", {"dir": FOLDER, "binary": BINARY})


def test_the_binary_that_was_let_in_is_the_one_that_must_be_there(host: AdmittingHost, good: Asked) -> None:
    """The order need not name it: what was let in does, so the file is held against that before it runs."""
    assert host.ask(good).code == ""
    assert host.ask(Asked("rollback", 43, binary="")).values["binary"] == BINARY
    assert refused(host, Asked("rollback", 43, binary=OTHER)) == "GP469"


def test_what_never_was_let_in_is_not_gone_back_to(host: AdmittingHost, good: Asked) -> None:
    """Whoever stole the controller's key, and laid a folder by another way, still does not have it run."""
    assert refused(host, Asked("rollback", 43)) == "GP469"
    assert host.ask(good).code == ""
    assert host.ask(Asked("rollback", 43)).code == "", "a control"
    manifest = host.root / f"opt/orders/releases/{FOLDER}/.gopub-manifest"
    manifest.write_text(f"binary={OTHER}\n")
    assert refused(host, Asked("rollback", 43, binary="")) == "GP469"


def test_a_line_is_no_part_of_another(host: AdmittingHost) -> None:
    host.enrolled_with(f"{FOLDER} {BINARY}0", f"x{FOLDER} {BINARY}", ".* .*")
    assert refused(host, Asked("rollback", 43)) == "GP469"


def test_what_is_not_staged_says_so_as_on_every_host(host: AdmittingHost) -> None:
    """Those words (GP438, GP439) are the switch's own."""
    assert host.ask(Asked("rollback", 43, release="7" * 12)).code == ""
    assert host.ask(Asked("rollback", 43, release="", render="")).code == ""


def test_a_full_disk_stops_nobody_who_goes_back(host: AdmittingHost, good: Asked) -> None:
    assert host.ask(good).code == ""
    kept = host.root / "var/lib/gopub/admitted"
    kept.rename(kept.with_name("elsewhere"))
    kept.write_text("no folder can be here")
    assert host.ask(Asked("rollback", 43)).code == ""
    assert host.ask(Asked("stop", 43)).code == ""


@pytest.mark.parametrize("text", ["", "serial=x\nkey=y\n", "serial=\n", "serial=08\nfloor=-1\n", "\0\0\0", "serial"])
def test_a_memory_that_is_damaged_stops_nobody(host: AdmittingHost, good: Asked, text: str) -> None:
    place = host.root / "var/lib/gopub/admitted"
    place.mkdir()
    (place / "orders.prod").write_text(text)
    assert host.ask(good).code == ""
    assert host.ask(Asked("rollback", 43)).code == ""


# What keys say counts while they are believed


def test_what_a_revoked_controller_went_back_from_begins_anew(
    host: AdmittingHost, signer: KeySigner, good: Asked
) -> None:
    """Its thief went back under the last epoch that there is: nothing could enter any more."""
    thief, rightful = "d" * 64, "e" * 64
    host.believe("controller", thief)
    host.believe("controller", rightful)
    assert host.ask(good).code == ""
    assert host.ask(Asked("rollback", 10**15 - 1, by=thief)).code == ""
    later = good.but(epoch=43, by=rightful, admission=carried(signer, replace(GOOD, serial=86)))
    assert refused(host, later) == "GP470"
    host.revoke("controller", thief)
    assert host.ask(later).code == ""
    assert refused(host, good.but(epoch=43)) == "GP470", "what admissions said stays"


def test_what_a_revoked_admission_key_signed_begins_anew(
    host: AdmittingHost, signer: KeySigner, stranger: KeySigner, good: Asked
) -> None:
    host.believe("admission", stranger.public)
    assert host.ask(good.but(epoch=500, admission=carried(stranger, replace(GOOD, serial=1000)))).code == ""
    assert refused(host, good) == "GP470"
    host.revoke("admission", stranger.public.fingerprint)
    assert host.ask(good).code == ""


@pytest.mark.parametrize(("serial", "back", "due"), [(84, 0, "42"), (84, 42, "43"), (85, 0, "43"), (0, 0, "0")])
def test_facts_tell_the_lowest_epoch_that_would_be_let_in(
    host: AdmittingHost, signer: KeySigner, good: Asked, serial: int, back: int, due: str
) -> None:
    """A new journal that knows no epoch takes its seat above it."""
    (host.root / "var/lib/gopub/bound").mkdir()
    (host.root / "var/lib/gopub/bound/orders").write_text("app=orders\nenv=prod\n")
    if serial:
        assert host.ask(good.but(epoch=43, admission=carried(signer, replace(GOOD, serial=serial)))).code == ""
    if back:
        assert host.ask(Asked("rollback", back)).code == ""
    harness = "paths\nadmits_value\nfinish true '' ''\n"
    assert host.run({"o_instance": "orders", "o_app": "orders", "o_env": ""}, harness).values["admits"] == due
    assert host.run({"o_instance": "other", "o_app": "other", "o_env": ""}, harness).values["admits"] == due, (
        "an instance that nobody knows yet may become one of that app and env"
    )
    (host.root / "var/lib/gopub/bound/third").write_text("app=third\nenv=prod\n")
    third = {"o_instance": "third", "o_app": "third", "o_env": ""}
    assert host.run(third, harness).values["admits"] == "0"
    (host.root / "var/lib/gopub/bound/third").write_text(f"app=third\nenv=prod\nkey={'d' * 64}\n")
    assert host.run(third, harness).values["admits"] == due, "what a key bound that nobody believes binds nobody"


# Folders that are gone, instances, and any course


def test_folders_that_are_gone_are_forgotten_when_another_comes(host: AdmittingHost, good: Asked) -> None:
    host.stage(OLDER)
    host.enrolled_with(f"{OLDER} {BINARY}", f"{OLDER} {OTHER}", f"{'9' * 12}-{'9' * 12} {BINARY}")
    assert host.ask(good).code == ""
    assert host.ran() == {f"{OLDER} {BINARY}", f"{OLDER} {OTHER}", f"{FOLDER} {BINARY}"}


def test_another_instance_has_a_memory_of_its_own(host: AdmittingHost, good: Asked) -> None:
    assert host.ask(good).code == ""
    host.stage(instance="other")
    assert refused(host, Asked("rollback", 43, instance="other")) == "GP469"


def test_in_any_course_of_rollouts_the_rightful_is_never_refused(
    tmp_path: Path, signer: KeySigner, stranger: KeySigner
) -> None:
    """Drivers die, admission keys differ, releases come again; nothing that was overtaken or gone back from enters."""
    seed = random.randrange(10**6)
    print("seed", seed)
    draw = random.Random(seed)
    host = AdmittingHost(tmp_path / "host")
    for key in (signer, stranger):
        host.believe("admission", key.public)
    releases = {f"{n}" * 64: f"{n}" * 12 + "-" + "a" * 12 for n in range(1, 4)}
    for folder in releases.values():
        host.stage(folder)
    there, epoch, seen = {"1" * 64}, 1, 0
    host.enrolled_with(f"{releases['1' * 64]} {BINARY}")
    for _ in range(60):
        epoch += draw.randrange(1, 3)
        if draw.random() < 0.5:
            release = draw.choice(sorted(there))
            said = host.ask(Asked("rollback", epoch, release=release))
            assert said.code == "", (seed, said)
            seen = 2 * epoch + 1
            continue
        release = draw.choice(list(releases))
        summary = replace(GOOD, release=release, serial=2 * epoch)
        asked = Asked(release=release, admission=carried(draw.choice((signer, stranger)), summary))
        for later in range(draw.randrange(1, 3)):  # a second driver may go on with it
            epoch += later
            said = host.ask(asked.but(epoch=epoch))
            assert said.code == "", (seed, said)
        there.add(release)
        if seen:
            old = asked.but(epoch=epoch, admission=carried(signer, replace(summary, serial=seen - 1)))
            assert refused(host, old) == "GP470", seed
        seen = int(asked.admission["serial"])


def test_the_double_of_the_rollouts_tests_decides_as_the_host_does(
    tmp_path: Path, signer: KeySigner, stranger: KeySigner
) -> None:
    """What is found with hosts in memory holds on hosts: both are asked the same, and must say the same."""
    seed = random.randrange(10**6)
    print("seed", seed)
    draw = random.Random(seed)
    releases = [f"{n}" * 64 for n in range(1, 5)]
    folders = {f"{one[:12]}-{'a' * 12}": one for one in releases[:3]}  # the last one lies on no host
    host, thief = AdmittingHost(tmp_path / "host"), "d" * 64
    double = MemoryAdmission.of(signer.public, dict(list(folders.items())[:1]))
    host.believe("admission", signer.public)
    host.believe("controller", thief)
    double.controllers = {"c" * 64, thief}
    for folder, binary in folders.items():
        host.stage(folder, binary)
    host.enrolled_with(*(" ".join(pair) for pair in double.ran))

    def both(asked: Asked) -> str:
        digests = {"archive": asked.archive, "binary": asked.binary}
        order = Order(asked.verb, "h1", "", "orders", asked.app, asked.env, int(asked.epoch), "", 1, asked.release,
                      asked.render, digests, admission=asked.admission)  # fmt: skip
        code = double.refuse(order, folders, by=asked.by)
        assert host.ask(asked).code == code, (seed, asked, double)
        return code

    def admitted(numbered: int, release: str = "1" * 64, by: KeySigner = signer, **over: str) -> Asked:
        said = replace(GOOD, release=release, binary="1" * 64, serial=numbered)
        return Asked("switch", 30, {**carried(by, said), **over}, release="1" * 64, binary="1" * 64)

    each = {
        "GP467": admitted(60, serial=""), "GP468": admitted(60, by=stranger), "GP469": admitted(60, OTHER),
        "GP471": admitted(61), "": admitted(60), "GP470": admitted(59),
    }  # fmt: skip
    assert [both(one) for one in each.values()] == list(each)
    for number in range(80):
        if number == 60:  # the root's word
            host.revoke("controller", thief)
            double.controllers.remove(thief)
        release, epoch = draw.choice(releases), draw.randrange(40, 44) + number // 5
        said = replace(GOOD, release=draw.choice((release, release, release, OTHER)), binary=release,
                       serial=2 * epoch + draw.choice((-6, -1, 0, 0, 0, 0, 2)))  # fmt: skip
        carries = dict(carried(draw.choice((signer, signer, signer, stranger)), said))
        carries |= draw.choice(({}, {}, {}, {"level": "x"}, {"serial": ""}))
        verb: Verb = draw.choice(("stage", "switch", "switch", "rollback", "stop", "verify"))
        both(Asked(verb, epoch, carries, release=release, archive=ARCHIVE, by=draw.choice(("c" * 64, thief)),
                   binary=draw.choice((release, release, OTHER))))  # fmt: skip

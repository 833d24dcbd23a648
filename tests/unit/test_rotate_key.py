"""Another key of orders without a gap, one less, another program: by the roots' word, and interrupted anywhere."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from gopub.clock import ManualClock
from gopub.errors import GopubError, LockedError, PartialError, RefusedError, UsageError
from gopub.evidence.keys import KeySigner, generate, private_key_in
from gopub.evidence.roles import Role, load_roles
from gopub.fleet.backends.ssh import Ssh
from gopub.fleet.host import Host
from gopub.fleet.rootline import RootAnswer, RootVerb, answer_of, as_sent
from gopub.journal.enrolled import TrustChanged
from gopub.spec.kinds import Connection
from gopub.spec.references import Reference
from gopub.usecases import rotate_key
from gopub.usecases.end_enrolment import end
from gopub.usecases.make_keys import FILE, Wanted, make_keys
from gopub.usecases.root_ground import Ground, ground_of
from gopub.usecases.root_lists import Signing, alone, sign_file
from gopub.usecases.upgrade_hosts import is_word, sign_word, upgrade
from tests.support.rooted import RootedHost

NOW = 1_796_400_000.0
UNTIL = NOW + 86400.0


@dataclass
class Fleet:
    """Hosts that are folders; ``away`` are not reached, ``plain`` are not enrolled, ``dies`` after so many words."""

    machines: dict[str, RootedHost]
    away: set[str] = field(default_factory=set)
    plain: set[str] = field(default_factory=set)
    dies: int = 10_000
    words: int = 0

    async def channel(self, host: Host) -> Channel:
        if host.name in self.away:
            raise GopubError("GP413", f"{host.name} cannot be reached")
        return Channel(self, host)

    async def close(self) -> None:
        """Nothing to end."""


class Killed(BaseException):
    """The process that rotates ends here."""


@dataclass
class Channel:
    fleet: Fleet
    host: Host

    async def root(self, verb: RootVerb, said: bytes = b"", *, timeout: float = 120.0) -> RootAnswer | None:
        del timeout
        self.fleet.words += 1
        if self.fleet.words > self.fleet.dies:
            raise Killed
        if self.host.name in self.fleet.plain:
            return None
        machine = self.fleet.machines[self.host.name]
        out = await asyncio.to_thread(machine.say, as_sent(verb, said))
        return answer_of(out.decode(), host=self.host.name, verb=verb)


@dataclass
class World:
    ground: Ground
    fleet: Fleet
    keys: Path

    @property
    def signs(self) -> str:
        """The fingerprint of the key in the file."""
        return KeySigner.load(self.ground.private, passphrase=self.ground.passphrase).public.fingerprint

    def believed(self) -> list[set[str]]:
        return [one.believes()[Role.CONTROLLER] for one in self.fleet.machines.values()]

    async def rotate(self, *roots: Path, without: tuple[str, ...] = ()) -> rotate_key.Changed:
        return await rotate_key.rotate(self.ground, Signing(roots, None, UNTIL), without)


def world_in(
    place: Path, threshold: int = 1, passphrase: str | None = None, names: tuple[str, ...] = ("app1", "app2")
) -> World:
    keys = place / "keys"
    made = make_keys(keys, UNTIL - NOW, ManualClock(NOW), passphrase=passphrase, wanted=Wanted(threshold=threshold))
    machines = {name: RootedHost.enrolled(place / name, signed=made.signed) for name in names}
    fleet = Fleet(machines)
    hosts = tuple(Host(name, "127.0.0.1") for name in names)
    private = private_key_in(keys / Role.CONTROLLER).private
    return World(Ground(fleet, hosts, private, keys / FILE, lambda: passphrase), fleet, keys)  # type: ignore[arg-type]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return world_in(tmp_path)


async def test_another_key_signs_and_the_old_one_is_believed_nowhere(world: World) -> None:
    old = world.signs
    found = await world.rotate()
    assert world.signs != old
    assert world.believed() == [{world.signs}, {world.signs}]
    assert (found.serial, found.keys) == (3, (world.signs,))
    assert [one.outcome for one in found.heard] == ["taken", "taken"]
    assert load_roles(world.keys / FILE).roles.of(Role.CONTROLLER) == (
        private_key_in(world.keys / "controller").public_key(),
    )
    assert sorted(one.name for one in (world.keys / "controller").iterdir()) == ["gopub.key", "gopub.pub"]
    before = world.signs
    await world.rotate()
    assert world.signs != before, "and once more"


async def test_interrupted_anywhere_it_goes_on_and_the_key_that_signs_is_always_believed(tmp_path: Path) -> None:
    for dies in range(8):
        world = world_in(tmp_path / str(dies))
        old = world.signs
        world.fleet.dies = dies
        with pytest.raises(Killed):
            await world.rotate()
        assert all(world.signs in one for one in world.believed()), "no gap: orders are signed and believed"
        world.fleet.dies = 10_000
        await world.rotate()
        assert world.signs != old
        assert world.believed() == [{world.signs}, {world.signs}]
        assert not list((world.keys / "controller").glob("*.rotating"))


async def test_a_rotation_that_was_finished_otherwise_is_no_part_of_the_next_one(tmp_path: Path) -> None:
    """Who rotates a stolen key must not be told that it is done where it only went on with one of last year."""
    for named in (False, True):
        world = world_in(tmp_path / str(named))
        first, world.fleet.dies = world.signs, 5
        with pytest.raises(Killed):
            await world.rotate()
        world.fleet.dies, stolen = 10_000, world.signs
        assert stolen != first
        if named:
            await rotate_key.revoke(world.ground, first, Signing((), None, UNTIL))
        else:
            await rotate_key.bring(world.ground)
        await world.rotate()
        assert world.signs != stolen
        assert world.believed() == [{world.signs}, {world.signs}]


async def test_killed_between_its_files_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    renamed, ended = Path.replace, False
    for dies in range(20):
        left = dies
        world = world_in(tmp_path / str(dies), names=("app1",))
        old = world.signs

        def dying(self: Path, target: Path) -> Path:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return renamed(self, target)

        with monkeypatch.context() as cut:
            cut.setattr(Path, "replace", dying)
            try:
                await world.rotate()
                ended = True
            except Killed:
                assert all(world.signs in one for one in world.believed())
        if ended:
            assert dies > 4
            return
        await world.rotate()
        assert world.signs != old
        assert world.believed() == [{world.signs}]
        assert sorted(one.name for one in (world.keys / "controller").glob("[!.]*")) == ["gopub.key", "gopub.pub"]
    pytest.fail("it never ended by itself")


async def test_a_host_that_is_not_reached_stops_it_before_the_key_is_exchanged(world: World) -> None:
    old = world.signs
    world.fleet.away.add("app2")
    with pytest.raises(PartialError, match=r"GP484 .*old one signs on: app2 not reached"):
        await world.rotate()
    assert world.signs == old
    assert all(old in one for one in world.believed())
    with pytest.raises(PartialError, match="GP484"):
        await world.rotate()
    assert load_roles(world.keys / FILE).roles.serial == 2, "the same list, not another one each time"
    world.fleet.away.clear()
    await world.rotate()
    assert world.believed() == [{world.signs}, {world.signs}]
    assert world.signs != old


async def test_a_host_that_is_gone_is_left_out_by_a_persons_word_and_gets_the_list_later(world: World) -> None:
    old = world.signs
    world.fleet.away.add("app2")
    found = await world.rotate(without=("app2",))
    assert [one.outcome for one in found.heard] == ["taken", "not reached"]
    assert world.believed() == [{world.signs}, {old}]
    with pytest.raises(PartialError, match="GP484"):
        await rotate_key.bring(world.ground)
    world.fleet.away.clear()
    found = await rotate_key.bring(world.ground)
    assert [one.outcome for one in found.heard] == ["had", "taken"]
    assert world.believed() == [{world.signs}, {world.signs}]


async def test_an_env_whose_hosts_nobody_can_tell_stops_it_like_a_host_that_is_away(world: World) -> None:
    """One key signs for all environments: those that were not told would take no order any more."""
    old = world.signs
    world.ground = replace(world.ground, dark=(("staging", "its inventory is not there"),))
    with pytest.raises(PartialError, match=r"GP484 .*staging not reached \(its inventory is not there\)"):
        await world.rotate()
    assert world.signs == old
    found = await world.rotate(without=("staging",))
    assert ([one.outcome for one in found.heard], world.signs != old) == (["taken", "taken", "not reached"], True)


async def test_the_ground_of_a_key_are_the_hosts_of_every_env(tmp_path: Path) -> None:
    inventory = "[{0}]\napp1 ansible_host={1}\nboth ansible_host=127.0.0.9\n[{0}:vars]\nrole={0}\n"
    envs = {"prod": "127.0.0.1", "staging": "127.0.0.2"}
    for env, address in envs.items():
        (tmp_path / f"{env}.ini").write_text(inventory.format(env, address))
    one = "  {0}: {{inventory: {0}.ini, hosts: role={0}, health: 'http://127.0.0.1:1/'}}\n"
    spec = "".join(map(one.format, (*envs, "gone")))
    (tmp_path / "gopub.yaml").write_text(f"app: shop\nbuild: ./cmd/shop\nenvironments:\n{spec}")
    make_keys(tmp_path / "keys", UNTIL - NOW, ManualClock(NOW))
    sign = "{key: keys/controller/gopub.key, roles: keys/roles}"
    (tmp_path / "connections.yaml").write_text(f"ssh: {{kind: ssh, sign: {sign}}}\n")
    names = {}
    for every in (False, True):
        async with ground_of(str(tmp_path), "prod", (), None, every=every) as ground:
            names[every] = [(host.name, host.address) for host in ground.hosts]
            dark = [env for env, _ in ground.dark]
    assert names[False] == [("app1", "127.0.0.1"), ("both", "127.0.0.9")]
    assert sorted(name for name, _ in names[True]) == ["app1", "app1 (staging)", "both", "both (staging)"]
    assert dark == ["gone"], "it is told, and not passed over"


class ServerHas:
    """A way to hosts that no file of the project gives."""

    def __init__(self, way: Ssh) -> None:
        self.way = way

    def words(self) -> str:
        return "a server"

    async def find(self, reference: Reference) -> Connection | None:
        return self.way if reference.name == "ssh" else None


async def test_the_key_is_found_where_a_server_says_how_hosts_are_reached(tmp_path: Path) -> None:
    (tmp_path / "hosts.ini").write_text("app1 ansible_host=127.0.0.1\n")
    one = "{inventory: hosts.ini, hosts: all, health: 'http://127.0.0.1:1/'}"
    (tmp_path / "gopub.yaml").write_text(f"app: shop\nbuild: ./cmd/shop\nenvironments:\n  prod: {one}\n")
    keys = make_keys(tmp_path / "keys", UNTIL - NOW, ManualClock(NOW)).file
    private = tmp_path / "keys" / "controller" / "gopub.key"
    way = Ssh.model_validate({"user": "gopub", "sign": {"key": str(private), "roles": str(keys)}})
    private.unlink()  # it may be lost: what roots have signed needs none
    async with ground_of(str(tmp_path), "prod", (), ServerHas(way), every=True) as ground:
        assert (ground.private, ground.roles) == (private, keys)
        assert [host.ssh.user for host in ground.hosts] == ["gopub"]
    with pytest.raises(UsageError, match="GP483"):  # control: nobody names one
        async with ground_of(str(tmp_path), "prod", (), None):
            pass


async def test_hosts_that_are_not_enrolled_have_nothing_to_change(world: World) -> None:
    world.fleet.plain.add("app1")
    assert [one.outcome for one in (await world.rotate()).heard] == ["not enrolled", "taken"]


async def test_a_rotation_waits_for_the_other_roots_at_each_of_its_lists(tmp_path: Path) -> None:
    world, away = world_in(tmp_path, threshold=2), tmp_path / "away"
    (world.keys / "root-2").rename(away)
    old = world.signs
    for _ in range(2):
        with pytest.raises(PartialError, match=r"GP486 .*1 more of the roots"):
            await world.rotate()
        with pytest.raises(PartialError, match="GP486"):
            await world.rotate()
        sign_file(world.keys / "roles.pending", [away])
    found = await world.rotate()
    assert (found.serial, world.believed()) == (3, [{world.signs}, {world.signs}])
    assert world.signs != old
    both = await world.rotate(world.keys / "root", away)
    assert both.serial == 5, "with both at hand it is one call"


async def test_the_passphrase_of_the_key_is_that_of_the_next(tmp_path: Path) -> None:
    world = world_in(tmp_path, passphrase="open sesame")
    await rotate_key.rotate(world.ground, Signing((), "open sesame", UNTIL))
    with pytest.raises(GopubError, match=r"GP300 .*has a passphrase"):
        KeySigner.load(world.ground.private)
    assert world.believed() == [{world.signs}, {world.signs}]


async def test_a_key_that_signs_tables_too_is_not_rotated_alone(world: World) -> None:
    before = world.signs
    with pytest.raises(RefusedError, match=r"GP459 .*route tables of edge-lab"):
        await rotate_key.rotate(replace(world.ground, tables="edge-lab"), Signing((), None, UNTIL))
    assert world.signs == before
    assert load_roles(world.keys / FILE).roles.serial == 1


async def test_two_do_not_rotate_at_once(world: World) -> None:
    with alone(world.ground.private.parent), pytest.raises(LockedError, match="GP498"):
        await world.rotate()


async def test_a_key_that_is_no_controller_is_not_rotated(world: World) -> None:
    make_keys(world.keys, UNTIL - NOW, ManualClock(NOW), wanted=Wanted(keep=[Role.CONTROLLER]))
    (world.keys / "controller").rename(world.keys / "lost")
    generate(world.keys / "controller")
    with pytest.raises(RefusedError, match="GP483"):
        await world.rotate()
    assert not list((world.keys / "controller").glob("*.rotating"))


async def second(world: World) -> str:
    """Another controller beside the one that signs here, believed everywhere."""
    also = {Role.CONTROLLER: [generate(world.keys.parent / "another").public_key()]}
    make_keys(world.keys, UNTIL - NOW, ManualClock(NOW), wanted=Wanted(also=also))
    await rotate_key.bring(world.ground)
    return also[Role.CONTROLLER][0].fingerprint


async def test_a_key_that_is_revoked_is_believed_nowhere(world: World) -> None:
    other = await second(world)
    assert all(other in one for one in world.believed())
    found = await rotate_key.revoke(world.ground, other[:12], Signing((), None, UNTIL))
    assert world.believed() == [{world.signs}, {world.signs}]
    assert found.keys == (world.signs,)


async def test_a_revocation_reaches_all_that_it_can_and_says_who_is_owed(world: World) -> None:
    other = await second(world)
    world.fleet.away.add("app1")
    with pytest.raises(PartialError, match=r"GP484 key .* app1 not reached"):
        await rotate_key.revoke(world.ground, other, Signing((), None, UNTIL))
    assert world.believed() == [{world.signs, other}, {world.signs}]
    world.fleet.away.clear()
    await rotate_key.bring(world.ground)
    assert world.believed() == [{world.signs}, {world.signs}]


async def test_a_revocation_that_was_cut_goes_on_when_it_is_called_again(tmp_path: Path) -> None:
    for dies in range(5):
        world = world_in(tmp_path / str(dies))
        other = await second(world)
        world.fleet.words, world.fleet.dies = 0, dies
        try:
            await rotate_key.revoke(world.ground, other, Signing((), None, UNTIL))
        except Killed:
            assert dies < 4
        world.fleet.dies = 10_000
        found = await rotate_key.revoke(world.ground, other[:12], Signing((), None, UNTIL))
        assert (world.believed(), found.serial) == ([{world.signs}, {world.signs}], 3), "the same list"


async def test_a_revocation_that_a_host_is_owed_goes_on_when_it_is_called_again(tmp_path: Path) -> None:
    """As GP484 and GP486 say."""
    world, away = world_in(tmp_path, threshold=2), tmp_path / "away"
    other = await second(world)
    (world.keys / "root-2").rename(away)
    with pytest.raises(PartialError, match="GP486"):
        await rotate_key.revoke(world.ground, other, Signing((), None, UNTIL))
    sign_file(world.keys / "roles.pending", [away])
    world.fleet.away.add("app1")
    for _ in range(2):
        with pytest.raises(PartialError, match=f"GP484 .*key {other[:16]} .*app1 not reached"):
            await rotate_key.revoke(world.ground, other, Signing((), None, UNTIL))
    world.fleet.away.clear()
    found = await rotate_key.revoke(world.ground, other, Signing((), None, UNTIL))
    assert [one.outcome for one in found.heard] == ["taken", "had"]
    assert world.believed() == [{world.signs}, {world.signs}]


@pytest.mark.parametrize("named", ["", "12345678", "no key", "*"])
async def test_what_names_no_key_revokes_none(world: World, named: str) -> None:
    before = load_roles(world.keys / FILE)
    with pytest.raises(UsageError, match="GP485"):
        await rotate_key.revoke(world.ground, named, Signing((), None, UNTIL))
    assert load_roles(world.keys / FILE) == before


async def test_no_role_is_left_without_a_key(world: World) -> None:
    roles = load_roles(world.keys / FILE).roles
    for role in (Role.ADMISSION, Role.RELEASE, Role.ROOT):
        with pytest.raises(UsageError, match=f"GP485 .*nobody would hold the role {role}"):
            await rotate_key.revoke(world.ground, roles.of(role)[0].fingerprint, Signing((), None, UNTIL))
    with pytest.raises(UsageError, match=r"GP485 .*signs orders here"):
        await rotate_key.revoke(world.ground, world.signs, Signing((), None, UNTIL))


async def test_a_lost_controllers_key_is_replaced_by_roots_and_nothing_else(world: World) -> None:
    old = world.signs
    (world.keys / "controller").rename(world.keys.parent / "lost")
    make_keys(world.keys, UNTIL - NOW, ManualClock(NOW))
    found = await rotate_key.bring(world.ground)
    assert found.keys == (world.signs,)
    assert world.believed() == [{world.signs}, {world.signs}]
    assert old != world.signs
    thief = make_keys(world.keys.parent / "thief", UNTIL - NOW, ManualClock(NOW))
    later = thief.file.read_text().replace("serial=1", "serial=99")
    for machine in world.fleet.machines.values():
        assert machine.word("roles", later.encode())["code"] == "GP474", "nobody else names a controller"


async def test_a_host_that_missed_lists_in_which_roots_changed_gets_them_first(world: World) -> None:
    world.fleet.away.add("app2")
    for number in range(2):
        (world.keys / Role.ROOT).rename(world.keys.parent / f"root{number}")
        make_keys(world.keys, UNTIL - NOW, ManualClock(NOW), before=world.keys.parent / f"root{number}")
    world.fleet.away.clear()
    assert [one.outcome for one in (await rotate_key.bring(world.ground)).heard] == ["taken", "taken"]
    roots = [one.believes()[Role.ROOT] for one in world.fleet.machines.values()]
    assert roots == [{private_key_in(world.keys / Role.ROOT).public_key().fingerprint}] * 2


async def test_a_program_goes_to_every_host_that_has_another(tmp_path: Path) -> None:
    world = world_in(tmp_path, names=("app1",))
    text = world.fleet.machines["app1"].text("newer").encode()
    heard = await upgrade(world.ground, Signing(), NOW, text=text)
    assert [one.outcome for one in heard] == ["taken"]
    assert [one.outcome for one in await upgrade(world.ground, Signing(), NOW + 60, text=text)] == ["had"]
    assert not (world.keys / "upgrade.pending").exists()
    assert world.fleet.machines["app1"].program.read_bytes() == text


async def test_an_upgrade_waits_for_the_other_root_and_for_a_host_that_is_away(tmp_path: Path) -> None:
    world, away = world_in(tmp_path, threshold=2), tmp_path / "away"
    (world.keys / "root-2").rename(away)
    text = world.fleet.machines["app1"].text("newer").encode()
    ground = Ground(world.ground.fleet, world.ground.hosts[:1], world.ground.private, world.ground.roles)
    with pytest.raises(PartialError, match=r"GP486 .*upgrade.pending.* needs 1 more"):
        await upgrade(ground, Signing(), NOW, text=text)
    waiting = world.keys / "upgrade.pending"
    assert is_word(waiting)
    assert not is_word(world.keys / FILE)
    generate(tmp_path / "stranger")
    with pytest.raises(RefusedError, match="GP311"):
        sign_word(waiting, [tmp_path / "stranger"])
    assert "1 more of the roots" in sign_word(waiting, [])
    assert sign_word(waiting, [away]) == ""
    world.fleet.away.add("app1")
    with pytest.raises(PartialError, match="GP484"):
        await upgrade(ground, Signing(), NOW + 60, text=text)
    world.fleet.away.clear()
    assert [one.outcome for one in await upgrade(ground, Signing(), NOW + 120, text=text)] == ["taken"], (
        "with what both signed"
    )
    assert world.fleet.machines["app1"].program.read_bytes() == text


async def test_an_upgrade_that_waited_too_long_is_said_anew(tmp_path: Path) -> None:
    """The clock was behind when it was said, or the host had a later one since."""
    world = world_in(tmp_path)
    text = world.fleet.machines["app1"].text("newer").encode()
    world.fleet.away.add("app2")
    with pytest.raises(PartialError, match="GP484"):
        await upgrade(world.ground, Signing(), NOW, text=text)
    world.fleet.away.clear()
    later = world.fleet.machines["app2"].text("later").encode()
    elsewhere = replace(world.ground, roles=tmp_path / "elsewhere" / FILE, hosts=world.ground.hosts[1:])
    shutil.copytree(world.keys, tmp_path / "elsewhere")
    await upgrade(elsewhere, Signing(), NOW + 60, text=later)
    with pytest.raises(PartialError, match=r"GP484 .*app2 refused .GP475 .* is over"):
        await upgrade(world.ground, Signing(), NOW + 30, text=text)
    heard = await upgrade(world.ground, Signing(), NOW + 120, text=text)
    assert [one.outcome for one in heard] == ["had", "taken"]
    assert not (world.keys / "upgrade.pending").exists()


async def test_roots_end_an_enrolment_when_enough_have_signed(tmp_path: Path) -> None:
    world, away = world_in(tmp_path, threshold=2), tmp_path / "away"
    (world.keys / "root-2").rename(away)
    ground = replace(world.ground, hosts=world.ground.hosts[:1])
    with pytest.raises(PartialError, match=r"GP486 .*unenroll-app1.pending: each needs 1 more"):
        await end(ground, Signing())
    assert world.fleet.machines["app1"].program.exists()
    sign_word(world.keys / "unenroll-app1.pending", [away])
    assert [one.outcome for one in await end(ground, Signing())] == ["taken"]
    assert not world.fleet.machines["app1"].program.exists()
    assert world.fleet.machines["app2"].program.exists()
    assert not list(world.keys.glob("unenroll-*"))


@pytest.mark.parametrize("wrong", ["app3", "APP1", ""])
async def test_who_is_to_be_left_out_and_is_nobody_is_told_before_anything_is_done(world: World, wrong: str) -> None:
    before = {path: path.read_bytes() for path in world.keys.rglob("*") if path.is_file()}
    by, words = Signing((), None, UNTIL), world.fleet.words
    with pytest.raises(UsageError, match=r"GP457.*there are app1, app2"):
        await world.rotate(without=(wrong,))
    with pytest.raises(UsageError, match="GP457"):
        await rotate_key.revoke(world.ground, "a" * 64, by, (wrong,))
    with pytest.raises(UsageError, match="GP457"):
        await upgrade(world.ground, by, NOW, (wrong,))
    assert world.fleet.words == words
    assert {path: path.read_bytes() for path in world.keys.rglob("*") if path.is_file()} == before


async def test_a_list_is_brought_without_the_passphrase_of_the_key_of_orders(world: World) -> None:
    def shut() -> str | None:
        raise UsageError("GP142", "environment variable CONTROLLER_PASSPHRASE holds no secret")

    ground = replace(world.ground, opens=shut)
    assert [one.outcome for one in (await rotate_key.bring(ground)).heard] == ["had", "had"]
    with pytest.raises(UsageError, match="GP142"):
        await rotate_key.rotate(ground, Signing((), None, UNTIL))


async def test_no_list_is_made_or_signed_beside_a_rotation(world: World) -> None:
    clock, file = ManualClock(NOW), world.keys / FILE
    with alone(world.keys):
        for begin in (lambda: make_keys(world.keys, 86400.0, clock), lambda: sign_file(file, [])):
            with pytest.raises(LockedError, match="GP498"):
                begin()
        with pytest.raises(LockedError, match="GP498"):
            await world.rotate()
    serial = load_roles(file).roles.serial
    assert make_keys(world.keys, 86400.0, clock).signed.roles.serial == serial + 1, "control: it was free again"


async def test_the_journal_is_told_what_will_be_brought_and_who_took_it(world: World) -> None:
    told: list[TrustChanged] = []
    ground = replace(world.ground, record=told.append)
    by = Signing((), None, UNTIL)
    old = KeySigner.load(ground.private).public.fingerprint
    world.fleet.away.add("app2")
    with pytest.raises(PartialError, match="GP484"):
        await rotate_key.rotate(ground, by)
    first, taken = told
    assert (first.what, first.intended, first.hosts, len(first.controllers)) == ("rotate", True, (), 2)
    assert (taken.intended, taken.hosts, taken.owed) == (False, ("app1",), ("app2",))
    world.fleet.away.clear()
    await rotate_key.rotate(ground, by)
    assert old not in told[-1].controllers
    assert (told[-1].serial, told[-1].hosts) == (load_roles(ground.roles).roles.serial, ("app1", "app2"))
    told.clear()
    await rotate_key.bring(ground)
    assert told == [], "nothing was changed"
    text = world.fleet.machines["app1"].text("# another").encode()
    await upgrade(ground, by, NOW, text=text)
    await upgrade(ground, by, NOW + 60, text=text)
    assert [(one.what, one.intended, one.hosts) for one in told] == [
        ("upgrade", True, ()),
        ("upgrade", False, ("app1", "app2")),
    ]


async def test_a_machine_under_two_names_is_told_its_end_once(tmp_path: Path) -> None:
    world = world_in(tmp_path)
    world.fleet.machines["app2"] = world.fleet.machines["app1"]
    ground = replace(world.ground, hosts=world.ground.hosts[:2])
    assert [one.outcome for one in await end(ground, Signing())] == ["taken", "taken"]


async def test_who_ends_an_enrolment_hears_under_which_other_names_it_ends(tmp_path: Path) -> None:
    said = "the same machine is edge1, web, whose enrolment ends with it"
    world = world_in(tmp_path / "named", threshold=2)
    world.fleet.machines["app1"].etc.joinpath("host").write_text(
        world.fleet.machines["app1"].etc.joinpath("host").read_text().replace("names=app1", "names=edge1 app1 web")
    )
    (world.keys / "root-2").rename(tmp_path / "away")
    ground = replace(world.ground, hosts=world.ground.hosts[:1])
    with pytest.raises(PartialError, match=rf"GP486 .*unenroll-app1.pending \({said}\): each needs 1 more"):
        await end(ground, Signing())
    sign_word(world.keys / "unenroll-app1.pending", [tmp_path / "away"])
    assert [str(one) for one in await end(ground, Signing())] == [f"app1: taken: {said}"]

"""Nothing acts on a release that was not admitted: what somebody puts into the store runs nowhere and is refused."""

import ast
import asyncio
import json
import random
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import gopub
from gopub.cli import lazy
from gopub.cli.main import app as command
from gopub.errors import GopubError, RefusedError, UsageError
from gopub.evidence import sign_blob
from gopub.evidence.provenance import BUILD_TYPE
from gopub.journal.kit import read_kit
from gopub.store import blob_key, bundle_key, version_key
from gopub.usecases.start import released
from gopub.wiring import settings
from gopub.wiring.allowed import Admitted, Allowed
from gopub.wiring.backends import BACKENDS
from gopub.wiring.outside import open_ports
from gopub.wiring.project import open_project
from tests.releases import SPEC
from tests.support.admission_world import REPOSITORY, Shop


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop(tmp_path, monkeypatch)


def target(shop: Shop) -> Any:
    return shop.signed.release.targets["linux/amd64"]


# What somebody who can write the store wants to happen


def an_inventory(shop: Shop) -> tuple[Path, Path]:
    """An inventory that runs a command on the machine of whoever connects, and what it would leave behind."""
    marker, file = shop.path / "ACTED", shop.path / "evil.ini"
    file.write_text(
        f"h1 ansible_host=192.0.2.1 role=app port=8080 ansible_ssh_common_args='-o ProxyCommand=\"touch {marker}\"'\n"
    )
    return file, marker


def called(*words: str) -> Result:
    """The command as a person types it; what it raised is told as an error elsewhere."""
    lazy.register(command, list(words))
    return CliRunner().invoke(command, list(words))


COMMANDS: list[list[str]] = [
    ["rollout", "1.0.0", "--dry-run"],
    ["rollout", "1.0.0", "--dry-run", "--json"],
    ["rollout", "ID", "--dry-run"],
    ["rollout", "1.0.0", "--clear-quarantine", "why not"],
    ["verify", "1.0.0"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_release_of_another_key_runs_nothing_in_any_command(
    shop: Shop, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, marker = an_inventory(shop)
    release_id = shop.forge(lambda m: m["environments"]["lab"]["spec"].update(inventory=str(file)), shop.stranger)
    monkeypatch.chdir(shop.project)
    said = called(*[release_id if word == "ID" else word for word in words])
    assert isinstance(said.exception, RefusedError), said.output
    assert said.exception.code == ("GP350" if words[0] == "verify" else "GP311")
    assert not marker.exists()


def test_neither_does_it_where_a_rollout_begins_or_goes_on(shop: Shop) -> None:
    file, marker = an_inventory(shop)
    shop.forge(lambda m: m["environments"]["lab"]["spec"].update(inventory=str(file), traffic=None), shop.stranger)
    assert shop.complaint().startswith("GP311 the signature is not one of key")
    assert not marker.exists()
    assert settings.journal().streams("rollout/") == []


def test_an_inventory_of_the_release_is_not_used_even_where_the_right_key_signed_it(shop: Shop) -> None:
    file, marker = an_inventory(shop)
    shop.forge(lambda m: m["environments"]["lab"]["spec"].update(inventory=str(file)), shop.signer)
    with pytest.raises(GopubError, match="GP720"):  # the project's own host, which is nowhere
        asyncio.run(asyncio.wait_for(_patiently(shop), 60))
    assert not marker.exists()
    shop.hosts_in_memory()
    plan = shop.rehearse().plan
    assert plan is not None
    assert plan.notes[0].startswith("`inventory` is the project's word: 'hosts.ini'; the release says '/")


def test_control_the_projects_own_inventory_does_run_it(shop: Shop) -> None:
    """The marker would be found: it is the operator's own word here."""
    file, marker = an_inventory(shop)
    (shop.project / "hosts.ini").write_text(file.read_text())
    with pytest.raises(GopubError, match="GP720"):
        asyncio.run(_patiently(shop))
    assert marker.exists()


async def _patiently(shop: Shop) -> None:
    from gopub.usecases.rehearse import rehearse

    try:
        await rehearse("hello", "lab", "1.0.0", str(shop.project))
    finally:  # a loop that ends before it heard of a command's end leaves it to the next test to complain
        for waits in [one for one in threading.enumerate() if one.name.startswith("waitpid-")]:
            await asyncio.to_thread(waits.join)
        await asyncio.sleep(0)


@pytest.mark.parametrize("signed_by", ["stranger", "signer"])
def test_no_file_of_the_operator_is_read_out(shop: Shop, signed_by: str) -> None:
    secret = shop.path / "passwd"
    secret.write_text("root:x:0:0:SECRET\n" * 9)
    shop.hosts_in_memory()
    shop.forge(lambda m: m["environments"]["lab"]["spec"].update(inventory=str(secret)), getattr(shop, signed_by))
    said = shop.complaint()
    assert "SECRET" not in said
    assert said.startswith("GP311") if signed_by == "stranger" else said == ""
    pointer = shop.store.root / version_key("hello", "1.0.0")
    pointer.unlink()
    pointer.symlink_to(secret)
    with pytest.raises(GopubError) as caught:
        shop.rehearse()
    assert "SECRET" not in str(caught.value)


# A dry run admits as a real rollout does: each says the same


def flip(shop: Shop, digest: str, at: int = 40) -> None:
    data = bytearray((shop.store.root / blob_key(digest)).read_bytes())
    data[at] ^= 1
    shop.put(blob_key(digest), bytes(data))


def of_other_key(shop: Shop, name: str) -> None:
    """The evidence of that name, made again by a key that is not accepted; the right key signs that it is there."""
    made = sign_blob(shop.stranger, (shop.store.root / blob_key(target(shop).archive.digest)).read_bytes())
    from gopub.build.artifact import FileRef

    ref = FileRef.of("other.sigstore.json", made)
    shop.put(blob_key(ref.digest), made)

    def put(manifest: dict[str, Any]) -> None:
        manifest["targets"]["linux/amd64"]["evidence"][name] = ref.to_json()

    shop.forge(put, shop.signer)


def swap_archive_and_binary(shop: Shop) -> None:
    def swap(manifest: dict[str, Any]) -> None:
        files = manifest["targets"]["linux/amd64"]
        files["archive"], files["binary"] = files["binary"], files["archive"]

    shop.forge(swap, shop.signer)


def strip_sboms(manifest: dict[str, Any]) -> None:
    files = manifest["targets"]["linux/amd64"]
    files["sboms"] = {}
    files["evidence"].pop("sbom-spdx")


def strip_provenance(manifest: dict[str, Any]) -> None:
    for files in manifest["targets"].values():
        files["evidence"].pop("provenance")


def flip_bundle(shop: Shop) -> None:
    path = shop.store.root / bundle_key(shop.signed.release_id)
    bundle = json.loads(path.read_bytes())
    signature = bundle["messageSignature"]["signature"]
    bundle["messageSignature"]["signature"] = signature[:20] + ("A" if signature[20] != "A" else "B") + signature[21:]
    shop.put(bundle_key(shop.signed.release_id), json.dumps(bundle).encode())


def longer_bundle(shop: Shop) -> None:
    path = shop.store.root / bundle_key(shop.signed.release_id)
    shop.put(bundle_key(shop.signed.release_id), json.dumps(json.loads(path.read_bytes()) | {"extra": 1}).encode())


def other_bundle(shop: Shop) -> None:
    shop.put(bundle_key(shop.signed.release_id), sign_blob(shop.signer, b"other"))


def source(predicate: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = predicate["buildDefinition"]["externalParameters"]
    return found


TAMPERED: dict[str, tuple[Callable[[Shop], object], str]] = {
    "archive flipped": (lambda s: flip(s, target(s).archive.digest), r"^archives: .*GP341"),
    "archive missing": (lambda s: (s.store.root / blob_key(target(s).archive.digest)).unlink(), r"^archives: .*GP340"),
    "archive cut": (lambda s: s.put(blob_key(target(s).archive.digest), b"x"), r"^archives: .*GP341"),
    "archive and binary swapped": (swap_archive_and_binary, r"artifacts: .*GP312"),
    "SBOM stripped": (lambda s: s.forge(strip_sboms, s.signer), r"^sbom: linux/amd64 has no SBOM"),
    "SBOM missing": (lambda s: (s.store.root / blob_key(target(s).sboms["spdx"].digest)).unlink(), r"^sbom: .*GP340"),
    "SBOM by another key": (lambda s: of_other_key(s, "sbom-spdx"), r"^sbom: .*GP31"),
    "provenance stripped": (lambda s: s.forge(strip_provenance, s.signer), r"^provenance: there is no bundle"),
    "provenance missing": (
        lambda s: (s.store.root / blob_key(target(s).evidence["provenance"].digest)).unlink(), r"^provenance: GP340"
    ),
    "signature of the archive by another key": (lambda s: of_other_key(s, "archive"), r"^artifacts: .*GP311"),
    "environment taken out": (lambda s: s.forge(lambda m: m["environments"].clear(), s.signer), r"^environment: "),
    "bundle flipped": (flip_bundle, r"^GP31[012] "),
    "bundle of another release": (other_bundle, r"^GP312 "),
    "bundle with extra keys": (longer_bundle, r"^GP310 "),
    "foreign key": (lambda s: s.forge(lambda m: None, s.stranger), r"^GP311 "),
    "manifest without an end": (lambda s: s.put(f"releases/{s.signed.release_id}/release.json", b"x" * 5_000_000),
                                r"^GP346 "),
    "pointer to no release": (lambda s: s.put(version_key("hello", "1.0.0"), b"nothing"), r"^GP322 "),
    "another repository": (lambda s: s.restate(lambda p: source(p).update(repository="https://evil.example/x")),
                           r"^source: built from 'https://evil.example/x', and not from https://git.example.org/\*"),
    "another ref": (lambda s: s.restate(lambda p: source(p).update(ref="refs/heads/hack")),
                    r"^source: built at 'refs/heads/hack', and not at main"),
    "another build type": (lambda s: s.restate(lambda p: p["buildDefinition"].update(buildType="tag:evil")),
                           r"^builder: build type 'tag:evil' is not gopub's"),
}  # fmt: skip


STRICT = SPEC + '    admit: {provenance: {repository: "https://git.example.org/*", ref: main}}\n'


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_tampered_with_is_refused_by_both_with_its_reason(shop: Shop, what: str) -> None:
    import re

    shop.spec(STRICT)
    machines = shop.hosts_in_memory()
    tamper, said = TAMPERED[what]
    tamper(shop)
    complaint = shop.complaint()
    assert re.search(said, complaint), complaint
    assert machines["h1"].history == [] and machines["h1"].epoch == 0


def test_control_the_untouched_release_is_let_in_by_both(shop: Shop) -> None:
    shop.spec(STRICT)
    shop.hosts_in_memory()
    found = shop.rehearse()
    assert found.plan is not None and found.refusal is None
    lines = found.lines()
    assert lines[0] == f"hello 1.0.0  {shop.signed.release_id}"
    assert sum(line.startswith("  ok    ") for line in lines) == len(found.admission.checks) == 12
    assert any("ok    source       built from 'https://git.example.org/hello' at 'main'" in line for line in lines)
    assert shop.complaint() == ""


def test_a_drawn_bit_flipped_anywhere_is_found(shop: Shop) -> None:
    shop.hosts_in_memory()
    seed = random.randrange(1 << 32)
    draw = random.Random(seed)
    targets = shop.signed.release.targets
    courtesy = "release.json.sigstore.json"  # its hint of a key is for people: it has tests of its own
    unread = (
        {courtesy} | {files.binary.digest for files in targets.values()} | {targets["windows/amd64"].archive.digest}
    )
    files = [path for path in sorted(shop.store.root.rglob("*")) if path.is_file() and path.name not in unread]
    assert len(files) >= 10
    for _ in range(15):
        path = draw.choice(files)
        whole = path.read_bytes()
        changed = bytearray(whole)
        changed[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(changed))
        try:
            refused = shop.rehearse().refusal is not None
        except RefusedError:
            refused = True
        except GopubError as error:
            refused = error.code in {"GP321", "GP340"}  # the version now points to nothing
        assert refused, (seed, path)
        path.write_bytes(whole)
    assert shop.rehearse().refusal is None, "the control: each was put back"


def test_what_was_not_looked_at_is_not_told_as_right(shop: Shop) -> None:
    shop.forge(strip_sboms, shop.signer)
    told = [check.name for check in shop.rehearse().admission.checks]
    assert "sbom" in told and not {"target", "archives"} & set(told)


def test_a_damaged_archive_of_a_kind_of_machine_that_no_host_has_keeps_nobody_out(shop: Shop) -> None:
    shop.hosts_in_memory()
    flip(shop, shop.signed.release.targets["windows/amd64"].archive.digest)
    assert shop.complaint() == ""


def test_the_command_shows_the_checks_and_ends_with_3(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.hosts_in_memory()
    monkeypatch.chdir(shop.project)
    good = called("rollout", "1.0.0", "--dry-run")
    assert good.exit_code == 0 and "  ok    archives " in good.output and "hello 1.0.0 into lab" in good.output
    flip(shop, target(shop).archive.digest)
    bad = called("rollout", "1.0.0", "--dry-run", "--json")
    assert isinstance(bad.exception, RefusedError) and bad.exception.code == "GP315"
    said = json.loads(bad.output)
    assert said["plan"] is None and said["admission"]["accepted"] is False


def test_a_release_of_another_app_is_refused(shop: Shop) -> None:
    other = shop.publish("1.0.0", SPEC.replace("app: hello", "app: other"), "f" * 40)
    for name in (other.release_id, other.release_id[:12]):
        assert shop.complaint(name) == f"GP324 release {other.release_id[:12]} is other 1.0.0, and no release of hello"
    shop.spec(SPEC.replace("app: hello", "app: other"))
    assert shop.complaint().startswith("GP732 the project in ")


def test_an_environment_that_the_project_does_not_have_is_refused(shop: Shop) -> None:
    shop.spec(SPEC.replace("  lab:", "  prod:"))
    with pytest.raises(UsageError, match="GP942 hello has no environment 'lab'; it has: prod"):
        shop.rehearse()
    with pytest.raises(UsageError, match="GP942"):
        shop.begin(shop.wish())


# The project's word


def test_the_projects_key_counts_whatever_the_release_says(shop: Shop) -> None:
    public = shop.path / "stranger" / "gopub.pub"
    shop.forge(lambda m: m["environments"]["lab"]["spec"].update(admit={"key": str(public)}), shop.stranger)
    assert shop.complaint().startswith("GP311")
    shop.spec(SPEC + f"    admit: {{key: {public}}}\n")
    assert shop.complaint().startswith("artifacts: ")  # the control: now it is read, and all else is the other key's
    with pytest.raises(RefusedError, match="GP311"):
        asyncio.run(released(str(shop.project), "hello", "lab", shop.signed.release_id))


def test_the_default_source_is_the_projects_own_remote(shop: Shop) -> None:
    shop.hosts_in_memory()
    told = {check.name: check.reason for check in shop.rehearse().admission.checks}
    assert told["source"].endswith("the repository is not restricted, for the project has no git remote")
    git(shop, "init", "-q")
    git(shop, "remote", "add", "origin", "git@git.example.org:hello.git")
    assert "not restricted" in shop.rehearse().lines()[6], "git does not know its gopub.yaml: it is no part of it"
    git(shop, "add", "gopub.yaml")
    git(shop, "remote", "set-url", "origin", "https://bot:SECRET@git.example.org/hello.git")
    assert "SECRET" not in "".join(shop.rehearse().lines())
    shop.spec(SPEC + "    admit: {provenance: {ref: nowhere}}\n")
    assert "SECRET" not in shop.complaint()
    shop.spec(SPEC)
    assert shop.rehearse().admission.accepted
    git(shop, "remote", "set-url", "origin", "https://git.example.org/other")
    assert shop.complaint().startswith(f"source: built from '{REPOSITORY}', and not from https://git.example.org/other")
    shop.restate(lambda p: source(p).update(repository=shop.project.as_uri()))
    assert shop.rehearse().admission.accepted, "what was built in the project's own folder is its own"


def git(shop: Shop, *words: str) -> None:
    from gopub.source.git import git as run

    asyncio.run(run(shop.project, *words))


# Going on uses what was frozen


def test_a_rollout_that_goes_on_uses_what_its_plan_froze(shop: Shop) -> None:
    shop.hosts_in_memory()
    state = shop.begin(shop.wish())
    assert state.plan is not None
    kit = read_kit(settings.kits_folder(), "hello", "lab", BACKENDS)
    shop.spec(SPEC.replace("  lab:", "  prod:").replace("hosts: role=app", "hosts: role=other"))
    file, marker = an_inventory(shop)
    shop.forge(lambda m: m["environments"]["lab"]["spec"].update(inventory=str(file)), shop.signer)
    found = going_on(shop, state.rollout)
    assert found["environment"] == kit.environment
    assert found["release"] == shop.signed.release_id, "the journal's release, not what the version points to now"
    assert found["alarms"] == [] and not marker.exists()
    shop.put(bundle_key(shop.signed.release_id), sign_blob(shop.stranger, shop.signed.manifest))
    found = going_on(shop, state.rollout)
    assert found["release"] is None
    assert "its release is not at hand: GP311" in found["alarms"][0]


def test_without_a_kit_here_its_release_is_admitted_again(shop: Shop) -> None:
    shop.hosts_in_memory()
    state = shop.begin(shop.wish())
    (settings.kits_folder() / "hello-lab.json").unlink()
    assert going_on(shop, state.rollout)["release"] == shop.signed.release_id
    shop.put(bundle_key(shop.signed.release_id), sign_blob(shop.stranger, shop.signed.manifest))
    with pytest.raises(GopubError, match="GP716"):
        going_on(shop, state.rollout)


def test_one_that_planned_nothing_yet_and_may_no_longer_enter_ends_refused(shop: Shop) -> None:
    from gopub.rollout.wish import Wish
    from gopub.usecases.start import open_run

    shop.hosts_in_memory()

    async def dies() -> str:
        async with open_run(shop.wish()) as run:
            run.ports.journal.renew_seat(run.seat, 0)
            return run.rollout

    rollout = asyncio.run(dies())
    shop.put(bundle_key(shop.signed.release_id), sign_blob(shop.stranger, shop.signed.manifest))
    ended = shop.begin(Wish(app="hello", env="lab", version="1.0.0", project=str(shop.project), rollout=rollout)).closed
    assert ended is not None and (ended.outcome, ended.reason[:5]) == ("refused", "GP311")


def going_on(shop: Shop, rollout: str) -> dict[str, Any]:
    from gopub.rollout.wish import Wish
    from gopub.usecases.start import open_run

    async def opened() -> dict[str, Any]:
        wanted = Wish(app="hello", env="lab", version="1.0.0", project=str(shop.project), rollout=rollout)
        async with open_run(wanted) as run:
            run.ports.journal.renew_seat(run.seat, 0)
            return {"environment": run.ports.environment, "alarms": run.alarms,
                    "release": run.release.release_id if run.release else None}  # fmt: skip

    journal = settings.journal()
    seated = journal.seated("hello", "lab")
    if seated and seated[1]:
        journal.renew_seat(seated[0], 0)
    return asyncio.run(opened())


# No other way


def test_nobody_else_makes_what_ports_are_opened_for(shop: Shop) -> None:
    project = open_project(shop.project)
    environment = project.environment("lab")
    with pytest.raises(TypeError):
        Allowed(environment)
    with pytest.raises(TypeError):
        Admitted(shop.signed, None, environment, ())  # type: ignore[arg-type]

    async def opened() -> None:
        async with open_ports(project, environment):  # type: ignore[arg-type]
            pass

    with pytest.raises(TypeError):
        asyncio.run(opened())


ONLY = {
    "_SEAL": {"wiring/allowed.py"},
    "open_ports": {"wiring/outside.py", "usecases/start.py", "usecases/rehearse.py", "usecases/recover_edges.py",
                   "usecases/adopt_host.py", "usecases/audit.py", "usecases/diff.py"},
    "read_environment": {"release/environments.py", "wiring/allowed.py"},
    "load_by_id": {"release/loading.py", "release/publishing.py"},
    "of_project": {"wiring/allowed.py", "usecases/recover_edges.py", "usecases/adopt_host.py", "usecases/audit.py"},
    "load_inventory": {
        "fleet/inventory/load.py", "fleet/inventory/__init__.py", "fleet/inventory/backends/ansible.py",
    },
    "SshFleet": {"fleet/backends/ssh.py"},
    "NginxRouter": {
        "traffic/backends/nginx/client.py", "traffic/backends/nginx/__init__.py", "traffic/backends/nginx/push.py",
    },
}  # fmt: skip
"""Which files may use what leads from a release to the outside."""
ROOT = Path(gopub.__file__).parent


def users(name: str) -> set[str]:
    """The files of the product that use a name: as a name, as an attribute, or in an import."""
    return {file for file, names in names_by_file().items() if name in names}


@cache
def names_by_file() -> dict[str, set[str]]:
    places = [ROOT, *(ROOT.parent / name for name in ("flows", "tasks", "blocks", "deployments"))]
    return {
        file.relative_to(ROOT if file.is_relative_to(ROOT) else ROOT.parent).as_posix(): {
            name
            for node in ast.walk(ast.parse(file.read_text("utf-8")))
            for name in (getattr(node, "id", ""), getattr(node, "attr", ""), getattr(node, "name", ""))
        }
        for place in places
        for file in place.rglob("*.py")
    }


@pytest.mark.parametrize("name", ONLY)
def test_no_other_file_leads_from_a_release_to_the_outside(name: str) -> None:
    found = users(name)
    assert found, "the control: it is used"
    assert found <= ONLY[name]


def test_environments_of_a_release_are_taken_out_in_one_place() -> None:
    """`release.environments[…]`: for ports in admitting.py, for the templates that were signed in payload.py."""
    found = set()
    for file in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("release.environments"):
                found.add(file.relative_to(ROOT).as_posix())
    assert found == {"wiring/allowed.py", "rollout/payload.py"}


def test_the_build_type_is_the_one_that_a_build_states(shop: Shop) -> None:
    stated = shop.payload(target(shop).evidence["provenance"])
    assert stated["predicate"]["buildDefinition"]["buildType"] == BUILD_TYPE

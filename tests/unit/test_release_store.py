"""A release on its way into a store and out again: once, whole, unchanged, and verified to the last byte."""

import json
import pickle
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gopub.build.artifact import FileRef
from gopub.canon import canonical, sha256
from gopub.errors import Exit, GopubError, RefusedError, SpecError, UsageError
from gopub.evidence import AdmissionPolicy, admit, generate
from gopub.evidence.keyless import KeylessVerifier
from gopub.evidence.trust import read_trust
from gopub.evidence.verifier import AnyVerifier, KeyVerifier
from gopub.release import (
    PreparedRelease,
    Release,
    SignedRelease,
    gather_facts,
    load_release,
    publish,
    verify_release,
    verify_stored,
)
from gopub.release.loading import Stored
from gopub.schemas import schema
from gopub.store import blob_key, bundle_key, manifest_key, version_key
from gopub.store.backends.directory import DirectoryStore
from tests.releases import SPEC, a_plan, prepare
from tests.support.sigstore_world import HOUR, NOW, Wish, World, raw


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


@pytest.fixture
async def prepared(tmp_path: Path) -> PreparedRelease:
    return await prepare(tmp_path, a_plan(tmp_path))


@pytest.fixture
async def signed(prepared: PreparedRelease, store: DirectoryStore) -> SignedRelease:
    return await publish(store, prepared)


@pytest.fixture
def key(tmp_path: Path) -> KeyVerifier:
    return KeyVerifier(generate(tmp_path / "keys").public_key())


def test_the_manifest_keeps_its_schema(prepared: PreparedRelease) -> None:
    validator = Draft202012Validator(schema("release"))
    Draft202012Validator.check_schema(schema("release"))
    manifest: Any = json.loads(prepared.manifest.path.read_bytes())
    assert list(validator.iter_errors(manifest)) == []
    manifest["targets"]["linux/amd64"]["archive"]["digest"] = "x"
    assert list(validator.iter_errors(manifest))


def test_the_manifest_reads_back_equal_and_its_id_is_its_digest(prepared: PreparedRelease) -> None:
    data = prepared.manifest.path.read_bytes()
    assert Release.parse(data) == prepared.release
    assert sha256(data) == prepared.release_id == prepared.release.release_id


def test_the_manifest_holds_what_a_rollout_needs(prepared: PreparedRelease) -> None:
    files = prepared.release.environments["lab"]
    assert files.templates == {"config.yaml": "listen: {{ port }}\n"}
    assert (files.unit, files.spec["instance"]) == (None, "hello")
    target = prepared.release.targets["linux/amd64"]
    assert (target.archive.name, target.binary.name) == ("hello-1.0.0-linux-amd64.tar.gz", "hello-1.0.0-linux-amd64")
    assert sorted(target.evidence) == ["archive", "binary", "provenance", "sbom-spdx"]


def test_what_passes_between_stages_can_be_pickled(prepared: PreparedRelease, tmp_path: Path) -> None:
    for value in (prepared, prepared.release, a_plan(tmp_path)):
        assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - our own bytes


MALFORMED: list[tuple[str, bytes]] = [
    ("not JSON", b"{"),
    ("is not of type 'object'", b"[]"),
    ("'app' is a required property", canonical({"schema": "gopub/release/v1"})),
]


@pytest.mark.parametrize(("said", "data"), MALFORMED)
def test_what_is_no_manifest_is_refused(said: str, data: bytes) -> None:
    with pytest.raises(RefusedError, match=f"GP322 .*{said}"):
        Release.parse(data)


def test_a_manifest_with_spaces_or_new_keys_is_refused(prepared: PreparedRelease) -> None:
    value = json.loads(prepared.manifest.path.read_bytes())
    with pytest.raises(RefusedError, match=r"GP322 .*not canonical"):
        Release.parse(json.dumps(value).encode())
    with pytest.raises(RefusedError, match=r"GP322 .*has a property that is not known"):
        Release.parse(canonical(value | {"extra": 1}))


async def test_a_release_comes_back_by_version_and_by_id(
    signed: SignedRelease, store: DirectoryStore, key: KeyVerifier
) -> None:
    for app, name in (
        ("hello", "1.0.0"),
        (None, "1.0.0"),
        ("hello", signed.release_id),
        (None, signed.release_id[:12]),
    ):
        assert await load_release(store, app, name, key) == signed


async def test_publishing_again_changes_nothing(
    prepared: PreparedRelease, signed: SignedRelease, store: DirectoryStore
) -> None:
    before = {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}
    assert await publish(store, prepared) == signed
    assert {path: path.stat().st_mtime_ns for path in store.root.rglob("*")} == before


async def test_the_same_commit_again_gives_the_release_that_is_there(
    signed: SignedRelease, store: DirectoryStore, tmp_path: Path
) -> None:
    again = await prepare(tmp_path, a_plan(tmp_path), created=1_800_000_000.0)
    assert again.release_id != signed.release_id
    assert await publish(store, again) == signed


async def test_a_version_never_changes_its_commit(
    signed: SignedRelease, store: DirectoryStore, tmp_path: Path, key: KeyVerifier
) -> None:
    other = await prepare(tmp_path / "other", a_plan(tmp_path / "other", commit="f" * 40))
    with pytest.raises(RefusedError, match=r"GP320 hello 1\.0\.0 is published from commit 0123456789ab") as refused:
        await publish(store, other)
    assert "gopub deploy ffffffffffff" in str(refused.value)  # what somebody does who only mended a port
    assert await load_release(store, "hello", "1.0.0", key) == signed


class Dying(DirectoryStore):
    """A store whose writer dies before the n-th put."""

    left = 0

    async def put(self, key: str, data: bytes | Path, *, digest: str) -> None:
        if type(self).left == 0:
            raise ConnectionError("killed")
        type(self).left -= 1
        await super().put(key, data, digest=digest)


@pytest.mark.parametrize("puts", range(16))
async def test_a_publisher_that_dies_leaves_no_visible_release_and_can_be_run_again(
    prepared: PreparedRelease, store: DirectoryStore, key: KeyVerifier, puts: int
) -> None:
    Dying.left = puts
    with pytest.raises(ConnectionError):
        await publish(Dying(store.root), prepared)
    with pytest.raises(GopubError, match="GP321"):
        await load_release(store, "hello", "1.0.0", key)
    signed = await publish(store, prepared)
    assert (await verify_release(store, signed, key)).accepted


async def test_the_number_of_puts_is_what_the_test_above_counts_on(
    prepared: PreparedRelease, store: DirectoryStore
) -> None:
    Dying.left = 15
    with pytest.raises(ConnectionError):
        await publish(Dying(store.root), prepared)
    Dying.left = 16
    await publish(Dying(store.root / "fresh"), prepared)


async def test_a_good_release_verifies(signed: SignedRelease, store: DirectoryStore, key: KeyVerifier) -> None:
    report = await verify_release(store, signed, key)
    assert [check.name for check in report.checks if not check.passed] == []
    assert (report.signer, report.release_id) == (key.key.fingerprint, signed.release_id)
    assert len(report.files) == len({file.digest for file in signed.release.files()}) == 13


def refs(signed: SignedRelease) -> dict[str, FileRef]:
    target = signed.release.targets["linux/amd64"]
    return {
        "archive": target.archive,
        "binary": target.binary,
        "document": target.sboms["spdx"],
        **{f"bundle of {name}": ref for name, ref in target.evidence.items()},
    }


DAMAGE = {
    "archive": ["files"],
    "binary": ["files"],
    "document": ["files", "sbom"],
    "bundle of archive": ["artifacts", "files"],
    "bundle of binary": ["artifacts", "files"],
    "bundle of provenance": ["builder", "commit", "files", "provenance"],
    "bundle of sbom-spdx": ["files", "sbom"],
}


@pytest.mark.parametrize("how", ["flipped", "truncated", "missing", "swapped"])
@pytest.mark.parametrize("what", DAMAGE)
async def test_every_kind_of_damage_is_found(
    signed: SignedRelease, store: DirectoryStore, key: KeyVerifier, what: str, how: str
) -> None:
    ref = refs(signed)[what]
    path = store.root / blob_key(ref.digest)
    data = path.read_bytes()
    match how:
        case "flipped":
            path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        case "truncated":
            path.write_bytes(data[:-1])
        case "missing":
            path.unlink()
        case "swapped":
            other = signed.release.targets["windows/amd64"]
            path.write_bytes((store.root / blob_key(other.binary.digest)).read_bytes())
    report = await verify_release(store, signed, key)
    assert sorted(check.name for check in report.checks if not check.passed) == DAMAGE[what]
    code = "GP340" if how == "missing" else "GP341"
    assert all(code in c.reason for c in report.checks if not c.passed and c.name not in {"builder", "commit"})


async def test_another_key_is_refused(signed: SignedRelease, store: DirectoryStore, tmp_path: Path) -> None:
    stranger = KeyVerifier(generate(tmp_path / "stranger").public_key())
    report = await verify_release(store, signed, stranger)
    assert not report.accepted
    assert {"signature", "signer", "artifacts", "provenance", "sbom"} <= {c.name for c in report.checks if not c.passed}


@pytest.mark.parametrize(("at", "code"), [(NOW, "GP311"), (NOW + HOUR, "GP317")])
async def test_a_certificate_signs_a_release_or_the_report_says_why_not(
    signed: SignedRelease, store: DirectoryStore, at: datetime, code: str
) -> None:
    """The one of two by whom it is signed is asked for all its parts, and a key signed these."""
    world = World()
    trust = read_trust(json.dumps(world.trusted_root()).encode(), file="corp.json")
    bundle = raw(world.blob(bytes.fromhex(sha256(signed.manifest)), Wish(stamped_at=at)))
    stored = Stored("hello", "1.0.0", signed.release_id, signed.manifest, bundle)
    report = await verify_stored(store, stored, KeylessVerifier(trust), "1.0.0")
    failed = {check.name: check.reason for check in report.checks if not check.passed}
    assert ("signature" in failed) == (at != NOW)
    assert code in failed["artifacts" if at == NOW else "signature"]


async def test_the_evidence_of_another_release_is_refused(
    signed: SignedRelease, store: DirectoryStore, key: KeyVerifier
) -> None:
    """Somebody with the store's keys, and without the signing key, puts a new binary under old evidence."""
    target = signed.release.targets["linux/amd64"]
    evil = b"evil program"
    ref = FileRef.of(target.binary.name, evil)
    await store.put(blob_key(ref.digest), evil, digest=ref.digest)
    forged = replace(signed.release, targets={"linux/amd64": replace(target, binary=ref)})
    lie = SignedRelease(forged, forged.manifest_bytes(), signed.bundle)
    failed = {check.name for check in (await verify_release(store, lie, key)).checks if not check.passed}
    assert failed == {"signature", "signer", "artifacts", "provenance", "builder", "commit", "sbom", "files"}


async def test_a_key_that_names_another_release_is_refused(
    signed: SignedRelease, store: DirectoryStore, key: KeyVerifier
) -> None:
    pointer = signed.release_id.encode()
    await store.put(version_key("hello", "2.0.0"), pointer, digest=sha256(pointer))
    with pytest.raises(RefusedError, match="GP324"):
        await load_release(store, "hello", "2.0.0", key)


async def test_a_changed_manifest_never_loads(signed: SignedRelease, store: DirectoryStore, key: KeyVerifier) -> None:
    path = store.root / manifest_key(signed.release_id)
    path.write_bytes(path.read_bytes().replace(b"1.0.0", b"1.0.1"))
    with pytest.raises(RefusedError, match="GP341"):
        await load_release(store, "hello", "1.0.0", key)


async def test_a_release_without_its_bundle_is_missing(
    signed: SignedRelease, store: DirectoryStore, key: KeyVerifier
) -> None:
    (store.root / bundle_key(signed.release_id)).unlink()
    with pytest.raises(GopubError, match="GP340"):
        await load_release(store, "hello", "1.0.0", key)


@pytest.mark.usefixtures("signed")
async def test_unknown_and_ambiguous_names_are_told(store: DirectoryStore, tmp_path: Path, key: KeyVerifier) -> None:
    with pytest.raises(UsageError, match=r"GP321 (.|\n)*versions there: 1.0.0") as caught:
        await load_release(store, "hello", "9.9.9", key)
    assert caught.value.exit is Exit.USAGE
    other = a_plan(tmp_path / "o", commit="f" * 40, spec=SPEC.replace("app: hello", "app: other"))
    await publish(store, await prepare(tmp_path / "o", other))
    with pytest.raises(UsageError, match=r"GP321 several apps have a version 1\.0\.0: hello, other"):
        await load_release(store, None, "1.0.0", key)


@pytest.mark.usefixtures("signed")
@pytest.mark.parametrize("app", ["hello", None])
async def test_a_version_may_be_written_with_the_v_of_its_tag(
    store: DirectoryStore, key: KeyVerifier, app: str | None
) -> None:
    plain, tagged = await load_release(store, app, "1.0.0", key), await load_release(store, app, "v1.0.0", key)
    assert (plain.release_id, plain.release.version) == (tagged.release_id, tagged.release.version)
    with pytest.raises(UsageError, match="GP321"):
        await load_release(store, app, "vv1.0.0", key)


async def test_admission_takes_the_facts_of_the_store(
    signed: SignedRelease, store: DirectoryStore, key: KeyVerifier
) -> None:
    facts = await gather_facts(store, signed, key, env="lab")
    policy = AdmissionPolicy(accepted_keys=(key.key.fingerprint,), targets=("linux/amd64",))
    assert admit(facts, policy).accepted
    quarantined = await gather_facts(store, signed, key, env="lab", quarantined={signed.release_id: "bad"})
    assert admit(quarantined, policy).reasons == (f"quarantine: {signed.release_id[:12]} was taken back: bad",)
    nobody = await gather_facts(store, signed, AnyVerifier(()), env="lab")
    assert nobody.manifest == "GP311 nobody's signature is accepted here"
    assert not admit(nobody, policy).accepted


async def test_admission_reads_the_evidence_and_not_the_artifacts(
    signed: SignedRelease, store: DirectoryStore, key: KeyVerifier
) -> None:
    for files in signed.release.targets.values():
        (store.root / blob_key(files.archive.digest)).unlink()
        (store.root / blob_key(files.binary.digest)).unlink()
    facts = await gather_facts(store, signed, key, env="lab")
    assert admit(facts, AdmissionPolicy(accepted_keys=(key.key.fingerprint,))).accepted


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("none", "is not in the commit"),
        ("link", "lies outside the repository"),
        ("binary", "is not UTF-8 text"),
    ],
)
def test_a_template_comes_from_the_commit_or_not_at_all(tmp_path: Path, template: str, said: str) -> None:
    (tmp_path / "outside").write_text("secret")
    a_plan(tmp_path)
    (tmp_path / "source" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "source" / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(SpecError, match=rf"GP206 `environments\.lab\.config\[0\]\.template`: '{template}' {said}"):
        a_plan(tmp_path, spec=SPEC.replace("config.yaml.tmpl", template))


def test_a_template_that_only_git_lfs_has_is_refused(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "big.tmpl").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n")
    with pytest.raises(RefusedError, match=r"big\.tmpl: GP208 `environments\.lab\.config\[0\]\.template`"):
        a_plan(tmp_path, spec=SPEC.replace("config.yaml.tmpl", "big.tmpl"))


async def test_a_commit_of_a_repository_with_sha256_is_released(tmp_path: Path, store: DirectoryStore) -> None:
    plan = a_plan(tmp_path, commit="0123456789abcdef" * 4)
    published = await publish(store, await prepare(tmp_path, plan))
    assert Release.parse(published.manifest).commit == plan.tree.commit
    bad = json.loads(published.manifest) | {"commit": "0" * 41}
    with pytest.raises(RefusedError, match="GP322"):
        Release.parse(canonical(bad))

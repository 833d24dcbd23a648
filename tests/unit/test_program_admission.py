"""The installed program of an enrolled host takes a release in by its admission alone, and writes nothing else down."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from gopub.fleet.facts import HostFacts
from gopub.fleet.orders import Order, Record
from gopub.fleet.signed import signed_lines
from tests.support.admitting_host import GOOD, carried
from tests.support.enrolled import SHELLS, EnrolledHost, fresh_signer

BINARY = b"#!/bin/sh\n"
FILES = b"[Service]\nExecStart=/opt/orders/current/bin/orders\n"
RELEASE, RENDER = "1" * 64, "a" * 64
FOLDER = f"{RELEASE[:12]}-{RENDER[:12]}"


def packed(name: str, data: bytes) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return held.getvalue()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


ARCHIVE, RENDERED = packed("bin/orders", BINARY), packed("orders.service", FILES)
SAID = replace(GOOD, release=RELEASE, archive=sha(ARCHIVE), binary=sha(BINARY), serial=6)


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def host(tmp_path: Path) -> EnrolledHost:
    made = EnrolledHost(tmp_path / "host")
    made.believe(made.admission, "admission")
    return made


def stage(host: EnrolledHost, admission: Mapping[str, str], **over: object) -> Order:
    sizes = {"files_size": len(RENDERED), "archive_size": len(ARCHIVE), "binary_size": len(BINARY)}
    digests = {"archive": sha(ARCHIVE), "binary": sha(BINARY), "files": sha(RENDERED)}
    arguments = {name: str(size) for name, size in sizes.items()} | {"files_unpacked": "20480"}
    return host.order("stage", release=RELEASE, render=RENDER, digests=digests, arguments=arguments,
                      admission=admission, **over)  # fmt: skip


def staged(host: EnrolledHost, order: Order, shell: str = "dash") -> Record:
    return host.obey(order, RENDERED + ARCHIVE, shell=shell)


def files(host: EnrolledHost) -> set[str]:
    """What it wrote, but for nonces, the lock, who has it, and folders."""
    found = [path for place in ("opt", "var") for path in (host.folder / place).rglob("*") if path.is_file()]
    names = {path.relative_to(host.folder).as_posix() for path in found}
    return {name for name in names if "nonces" not in name and "lock" not in name and not name.endswith("holder")}


def test_what_was_admitted_is_staged_and_may_be_gone_back_to(host: EnrolledHost, shell: str) -> None:
    record = staged(host, stage(host, carried(host.admission, SAID)), shell)
    assert (record.code, record.message) == ("", f"staged {FOLDER}")
    assert (host.folder / f"opt/orders/releases/{FOLDER}/bin/orders").read_bytes() == BINARY
    assert (host.folder / "var/ran/orders").read_text() == f"{FOLDER} {sha(BINARY)}\n"
    kept = (host.folder / "var/admitted/orders.prod").read_text()
    assert kept.startswith(f"serial=6\nkey={host.admission.public.fingerprint}\n")


@pytest.mark.parametrize("code", ["GP467", "GP468", "GP469", "GP470", "GP471"])
def test_what_was_not_leaves_nothing_behind(host: EnrolledHost, shell: str, code: str) -> None:
    """Nothing at all: neither a folder, nor a number that was taken, nor whose the instance is."""
    good = carried(host.admission, SAID)
    attack = {
        "GP467": {},
        "GP468": carried(fresh_signer(), SAID),
        "GP469": carried(host.admission, replace(SAID, release="2" * 64)),
        "GP470": good,
        "GP471": carried(host.admission, replace(SAID, serial=8)),
    }[code]
    if code == "GP470":
        (host.folder / "var/admitted").mkdir()
        key = host.signer.public.fingerprint
        (host.folder / "var/admitted/orders.prod").write_text(f"serial=\nkey=\nfloor=7\nby={key}\n")
    before = files(host)
    assert staged(host, stage(host, attack), shell).code == code
    assert files(host) == before
    if code == "GP470":
        return
    assert staged(host, stage(host, good), shell).code == "", "a control, under the same number"


def test_control_without_the_check_it_is_staged(host: EnrolledHost) -> None:
    order = stage(host, {})
    head = signed_lines(order, host.key, host.given(order))
    text = host.text()
    assert text.count("\n    admit_order\n") == 1
    record = host.ask(head + RENDERED + ARCHIVE, text=text.replace("\n    admit_order\n", "\n"), verb="stage")
    assert record.message == f"staged {FOLDER}"


def test_a_repeat_gets_the_kept_record_whatever_was_admitted_since(host: EnrolledHost) -> None:
    order = stage(host, carried(host.admission, SAID))
    assert staged(host, order).changed
    (host.folder / "etc/keys/admission" / f"{host.admission.public.fingerprint}.pem").unlink()
    assert staged(host, order).values["repeated"] == "true"
    assert staged(host, replace(order, n=2)).code == "GP468", "a control"


def test_facts_tell_from_which_epoch_on_it_takes_admissions(host: EnrolledHost) -> None:
    def seen() -> tuple[int, int]:
        facts = replace(host.order("facts", n=0), app="orders", env="")
        found = HostFacts.parse(host.ask(signed_lines(facts, host.key), verb="facts"))
        assert found.enrolled is not None
        return found.enrolled.admits, found.seen

    assert seen() == (0, 0)
    assert staged(host, stage(host, carried(host.admission, SAID))).code == ""
    assert seen() == (3, 3)
    other = fresh_signer()
    host.believe(other)
    (host.folder / "etc/keys/controller" / f"{host.signer.public.fingerprint}.pem").unlink()
    host.signer = other
    assert seen() == (3, 3), "orders begin anew with another key of the controller, admissions do not"

"""`gopub diff`: what would change on which host, from what hosts, edges and the store say; nothing is changed."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest
from typer.testing import CliRunner, Result

from gopub import schemas
from gopub.cli import lazy
from gopub.cli.main import app as command
from gopub.errors import UsageError
from gopub.plan.again import revision_of
from gopub.plan.model import ReleaseRef
from gopub.rollout.payload import render_all, render_for
from gopub.usecases.diff import differ, revision
from gopub.views.diffs import Differences
from gopub.views.masking import MASK
from gopub.wiring.allowed import of_project
from gopub.wiring.project import hosts_of, open_project
from tests.releases import SPEC, a_plan, prepare
from tests.support.admission_world import Shop
from tests.support.rollout_world import World

PROGRAM = Path(__file__).parents[2] / "gopub/fleet/program"
SECRET = "Tr0ub4dor-and-3"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    made = Shop(tmp_path, monkeypatch)
    made.hosts_in_memory()
    return made


def inventory(shop: Shop, *, more: str = "") -> None:
    (shop.project / "hosts.ini").write_text(f"h1 ansible_host=192.0.2.1 role=app {more or 'port=8080'}\n")


def settled(shop: Shop, version: str = "1.0.0") -> None:
    """Let the host hold that release, rendered with the inventory as it is."""
    project = open_project(str(shop.project))
    release = shop.signed.release
    environment = of_project(project, "lab").environment
    for host in hosts_of(project, environment):
        rendered = render_for(release, "lab", environment, host)
        folder = f"{release.release_id[:12]}-{rendered.render_id[:12]}"
        machine = shop.machines[host.name]
        machine.folders[folder] = release.targets["linux/amd64"].binary.digest
        machine.files[folder] = dict(rendered.files)
        machine.current = folder
    assert version == release.version


def compared(shop: Shop, version: str = "1.0.0") -> Differences:
    found = asyncio.run(differ("hello", "lab", version, str(shop.project)))
    whole: Any = schemas.schema("diff")
    jsonschema.Draft202012Validator(whole).validate(json.loads(json.dumps(found.to_json())))
    return found


def called(*words: str) -> Result:
    lazy.register(command, list(words))
    return CliRunner().invoke(command, list(words))


def test_a_host_that_has_it_changes_nothing_and_one_without_anything_gets_all(shop: Shop) -> None:
    first = compared(shop).hosts[0]
    assert first.changes
    assert first.says.startswith("it comes here for the first time, hello.service is new, config.yaml is new")
    assert "+listen: 8080" in first.files[0].hunks
    settled(shop)
    same = compared(shop)
    assert not same.changes
    assert "nothing changes" in "\n".join(same.lines())


@pytest.mark.parametrize("enrolled", [False, True])
def test_a_changed_variable_is_shown_line_by_line_where_the_file_may_be_read(shop: Shop, *, enrolled: bool) -> None:
    settled(shop)
    shop.machines["h1"].enrolled = enrolled
    inventory(shop, more="port=8081")
    found = compared(shop)
    (host,) = found.hosts
    assert host.binary_before == host.binary_after
    assert "the binary stays, config.yaml changes, the unit stays" in host.says
    file = host.files[0]
    assert file.changes
    if enrolled:
        assert file.hunks == ()
        assert "an enrolled host gives no files away" in "\n".join(found.lines())
    else:
        assert file.hunks == ("@@ -1 +1 @@", "-listen: 8080", "+listen: 8081")


def test_what_the_host_says_is_held_against_its_digest(shop: Shop) -> None:
    """A file that was altered after it was read would be shown as what the release put there."""
    settled(shop)
    inventory(shop, more="port=8081")
    machine = shop.machines["h1"]
    facts = machine.facts()
    machine.files[machine.current]["config.yaml"] = b"listen: 6666\n"
    machine.facts = lambda: facts  # type: ignore[method-assign] - what it said before it was altered
    file = compared(shop).hosts[0].files[0]
    assert (file.hunks, file.unread != "") == ((), True)


def test_another_release_on_an_enrolled_host_is_compared_by_making_its_files_again(shop: Shop) -> None:
    settled(shop)
    shop.machines["h1"].enrolled = True
    shop.publish("1.1.0", commit="f" * 40)
    found = compared(shop, "1.1.0")
    (host,) = found.hosts
    assert host.runs is not None
    assert host.runs.version == "1.0.0"
    assert host.binary_before != host.binary_after
    assert "the binary changes" in host.says


@pytest.mark.parametrize("apply", ["reload", "restart"])
def test_a_file_that_changes_with_the_commit_is_told_to_start_a_process_and_why(shop: Shop, apply: str) -> None:
    confirm = "    confirm: http://127.0.0.1:9000/-/config\n" if apply == "reload" else ""
    shop.spec(hot := SPEC.replace("to: config.yaml}", f"to: config.yaml, apply: {apply}}}") + confirm)
    shop.signed = shop.publish("1.0.0", hot)
    settled(shop)
    inventory(shop, more="port=8081")
    shop.publish("1.1.0", hot, commit="f" * 40)
    said = [note for note in compared(shop, "1.1.0").notes if "another commit is another binary" in note]
    assert [note.startswith("every host starts a new process") for note in said] == [True] * (apply == "reload")
    plan = shop.rehearse("1.1.0").plan
    assert plan is not None
    assert [note for note in plan.notes if "another commit is another binary" in note] == said


def test_the_revision_under_which_edges_would_count_other_files_is_named_as_in_the_plan(tmp_path: Path) -> None:
    release = asyncio.run(prepare(tmp_path, a_plan(tmp_path))).release
    ports = World(tmp_path).ports()
    ports = replace(ports, hosts=tuple(replace(host, variables={"port": 8081}) for host in ports.hosts))
    assert revision("lab", release, ports) == "", "control: nobody counts requests"
    found = revision("lab", release, replace(ports, metrics=cast("Any", object())))
    renders = {name: one.render_id for name, one in render_all(release, "lab", ports.environment, ports.hosts).items()}
    assert found == revision_of(release.release_id, renders)[:12]
    ref = ReleaseRef(release.release_id, "1.0.0")
    told = Differences("hello", "lab", ref, ref, (), revision=found)
    assert f"they would be counted as revision {found}" in told.lines()[0]
    assert "revision" not in replace(told, revision="").lines()[0]
    whole: Any = schemas.schema("diff")
    jsonschema.Draft202012Validator(whole).validate(json.loads(json.dumps(told.to_json())))


def test_no_secret_is_shown_in_words_or_json(shop: Shop) -> None:
    (shop.path / "source/config.yaml.tmpl").write_text("listen: {{ port }}\nwho: {{ db_password }}\n")
    inventory(shop, more=f"port=8080 db_password={SECRET}")
    shop.forge(lambda one: one["environments"]["lab"]["templates"].update(
        {"config.yaml": "listen: {{ port }}\nwho: {{ db_password }}\n"}), shop.signer)  # fmt: skip
    found = compared(shop)
    assert f"+who: {MASK}" in found.lines()
    assert SECRET not in "\n".join(found.lines())
    assert SECRET not in json.dumps(found.to_json())


def test_a_host_that_does_not_answer_is_named_and_ends_with_5(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    settled(shop)
    monkeypatch.chdir(shop.project)
    assert called("diff", "lab", "1.0.0", "--exit-code").exit_code == 0
    inventory(shop, more="port=8081")
    assert called("diff", "lab", "1.0.0").exit_code == 0
    assert called("diff", "lab", "1.0.0", "--exit-code", "--json").exit_code == 8
    shop.machines["h1"].reachable = False
    said = called("diff", "lab", "1.0.0", "--exit-code")
    assert said.exit_code == 5
    assert "h1: not seen: GP41" in said.output


def test_without_a_version_the_stable_one_is_meant_and_there_must_be_one(shop: Shop) -> None:
    with pytest.raises(UsageError) as caught:
        compared(shop, "")
    assert caught.value.code == "GP555"


def test_a_host_program_tells_the_digests_of_what_was_rendered(tmp_path: Path) -> None:
    """And not of the binary, nor of anything else that lies there."""
    place = tmp_path / f"releases/{'a' * 12}-{'b' * 12}"
    place.mkdir(parents=True)
    (place / ".gopub-sums").write_text(f"{'1' * 64}  ./bin/x\n{'2' * 64}  ./conf/a b.yaml\n{'3' * 64}  ./x.service\n")
    text = "".join((PROGRAM / f"{part}.sh").read_text() for part in ("base", "order", "facts", "mode_side"))
    shells = [found for name in ("dash", "busybox") if (found := shutil.which(name))]
    for shell in shells:
        told = text + f'releases={tmp_path}/releases current=$1\nfile_values\nprintf %s "$values"\n'
        argv = (shell, *(("sh",) if shell.endswith("busybox") else ()), "-c", told, "gopub", place.name)
        ran = subprocess.run(argv, capture_output=True, text=True, check=True)
        assert ran.stdout == f"value.file.conf/a b.yaml={'2' * 64}\nvalue.file.x.service={'3' * 64}\n"
        assert subprocess.run((*argv[:-1], ""), capture_output=True, text=True, check=True).stdout == ""
    assert shells


def test_hosts_that_are_alike_are_told_once() -> None:
    from dataclasses import replace

    from gopub.plan.model import ReleaseRef
    from gopub.views.diffs import FileDiff, HostDiff

    file = FileDiff("config.yaml", "1" * 64, "2" * 64, ("@@ -1 +1 @@", "-a", "+b"))
    one = HostDiff("h1", None, "3" * 64, "3" * 64, None, (file,), "restart")
    ref = ReleaseRef("4" * 64, "1.0.0")
    told = Differences("hello", "lab", ref, ref, (one, replace(one, host="h2"), replace(one, host="h3", files=())))
    lines = told.lines()
    assert (
        lines[0]
        == "hello 1.0.0 (444444444444) into lab, where 1.0.0 (444444444444) is stable: 3 of 3 hosts would change"
    )
    assert sum(line == "+b" for line in lines) == 1
    assert "--- h1 and h2: config.yaml" in lines

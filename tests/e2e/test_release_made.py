"""Releases of programs that Go does not build: made by a command of the team's in the sandbox, or in the commit."""

from pathlib import Path

import pytest

from gopub import release
from gopub.build.machine import no_program
from gopub.build.target import Target
from gopub.canon import sha256_file
from gopub.errors import GopubError
from gopub.evidence import generate
from gopub.evidence.verifier import KeyVerifier
from gopub.process import run
from gopub.release import verify_release
from gopub.store.backends.directory import DirectoryStore
from tests.e2e.release_kit import a_repository, build_release, config, files_of, packed_release, payload

pytestmark = [pytest.mark.go]

LINUX = Target("linux", "amd64")
C = {
    "gopub.yaml": "app: small\nbuild: {file: out/small, command: [sh, -c, mkdir out && cc -static -o out/small m.c]}\n",
    "m.c": '#include <stdio.h>\nint main(void) { return puts("it is C") < 0; }\n',
}
ZIPAPP = {
    "gopub.yaml": "app: small\nbuild:\n  file: small\n"
    '  command: [python3, -m, zipapp, src, -o, small, -p, "/usr/bin/env python3"]\n',
    "src/__main__.py": "import inside\nprint(inside.SAYS)\n",
    "src/inside.py": 'SAYS = "it is Python"\n',
}
AS_IT_IS = {"gopub.yaml": "app: small\nbuild: {file: bin/small}\n", "bin/small": "#!/bin/sh\necho it is a shell\n"}


@pytest.mark.parametrize(("files", "says"), [(C, "it is C"), (ZIPAPP, "it is Python"), (AS_IT_IS, "it is a shell")])
async def test_it_is_released_and_verified_as_a_program_of_go_is(
    files: dict[str, str], says: str, tmp_path: Path
) -> None:
    repository = await a_repository(tmp_path / "repository", files)
    store, keys = DirectoryStore(tmp_path / "store"), generate(tmp_path / "keys")
    signed = await build_release(config(repository, tmp_path / "work", "v1.0.0"), key=keys.private, store=store)
    report = await verify_release(store, signed, KeyVerifier(keys.public_key()))
    assert report.accepted, report.checks
    found = await files_of(store, signed, "linux/amd64", tmp_path / "files")
    await run(("tar", "-xzf", str(found["archive"]), "-C", str(tmp_path)))
    assert (await run((str(tmp_path / "bin/small"),))).text.strip() == says
    assert sha256_file(tmp_path / "bin/small") == signed.release.targets["linux/amd64"].binary.digest
    definition = payload(found["bundle provenance"])["predicate"]["buildDefinition"]
    outer, inner = definition["externalParameters"], definition["internalParameters"]
    spec = signed.release.spec["build"]
    assert isinstance(spec, dict)
    assert (outer["file"], outer["command"]) == (spec["file"], spec["command"])
    assert {"main", "ldflags"}.isdisjoint(outer)
    assert (set(inner), inner["tests"]) == ({"sandbox", "tests"}, "none")
    assert len(definition["resolvedDependencies"]) == 1, "the commit alone is known, and no Go of ours made it"
    again = await release.checkout(config(repository, tmp_path / "elsewhere", "v1.0.0"))
    _, packed = await packed_release(await release.plan(config(repository, tmp_path / "elsewhere"), again, started=1.0))
    assert packed[0].packed.archive.ref == signed.release.targets["linux/amd64"].archive, "the same bytes once more"


WRONG = {
    "fails": ("[sh, -c, 'echo no rule >&2; exit 7']", "GP234", "ended with 7:\nno rule"),
    "makes nothing": ("['true']", "GP235", "is not there"),
    "makes a link": ("[ln, -s, /usr/bin/python3, small]", "GP235", "is a link"),
    "makes a text": ("[cp, gopub.yaml, small]", "GP235", "is neither an ELF program nor a script"),
    "asks the network": ("[curl, -sS, -m, '5', 'http://198.51.100.1/']", "GP234", "ended with"),
    "has a home": ("[sh, -c, 'ls /root /home/*/.ssh']", "GP234", "ended with"),
}


async def test_what_comes_to_nothing_is_told(tmp_path: Path) -> None:
    for number, (what, (command, code, says)) in enumerate(WRONG.items()):
        files = {"gopub.yaml": f"app: small\nbuild: {{file: small, command: {command}}}\n"}
        repository = await a_repository(tmp_path / f"r{number}", files, tag="")
        order = config(repository, tmp_path / f"w{number}")
        plan = await release.plan(order, await release.checkout(order), started=1.0)
        with pytest.raises(GopubError) as error:
            await packed_release(plan)
        assert error.value.code == code, (what, error.value)
        assert says in str(error.value), what


def test_what_is_a_program_for_a_machine() -> None:
    own = b"\x7fELF\x02\x01\x01" + bytes(11) + b"\x3e\x00" + bytes(44)
    for arch, good in (("amd64", True), ("arm64", False), ("386", False), ("s390x", False)):
        assert (no_program(own, 64, Target("linux", arch)) == "") is good
    assert no_program(b"#!/usr/bin/python3\n", 20, LINUX) == ""
    for head in (b"", b"#! no path", b"\x7fELF", b"MZ" + bytes(60), b"\x7fELX" + own[4:]):
        assert no_program(head, len(head), LINUX), head
    assert "the most" in no_program(own, 1 << 31, LINUX)

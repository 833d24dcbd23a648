"""SBOMs by the real syft: the same program in two folders at two times gives the same bytes."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from gopub.build.buildinfo import BuildInfo
from gopub.canon import canonical
from gopub.evidence import sbom
from gopub.process import run

INFO = BuildInfo("1.26", "cmd/gofmt", None, ())


async def _program(folder: Path) -> Path:
    """A small Go program of the toolchain, as ``bin/hello`` of a folder."""
    root = (await run(["go", "env", "GOROOT"])).out.decode().strip()
    (folder / "bin").mkdir(parents=True)
    return Path(shutil.copy(Path(root) / "bin/gofmt", folder / "bin/hello"))


async def _made(folder: Path) -> dict[str, bytes]:
    return await sbom.make_sboms(
        await _program(folder), ("spdx", "cyclonedx"), app="hello", version="1.0.0", moment=0, info=INFO
    )


async def test_two_folders_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = await asyncio.gather(_made(tmp_path / "a"), _made(tmp_path / "of/another/name"))
    assert first == second
    document = json.loads(first["cyclonedx"])
    refs = [document["metadata"]["component"]["bom-ref"], *(one["bom-ref"] for one in document["components"])]
    assert len(set(refs)) == len(refs), "each refers to one component"


async def test_control_what_syft_writes_differs_by_folder_and_time(tmp_path: Path) -> None:
    for folder in (tmp_path / "a", tmp_path / "b"):
        await _program(folder)
    found = [
        (await sbom._scan(folder / "bin/hello", ("cyclonedx",), app="hello", version="1.0.0"))["cyclonedx"]
        for folder in (tmp_path / "a", tmp_path / "b")
    ]
    refs = [document["metadata"]["component"]["bom-ref"] for document in found]
    assert refs[0] != refs[1]


def document(ref: str) -> dict[str, Any]:
    subject = {"bom-ref": ref, "type": "file", "name": "hello", "version": "1"}
    component = {"bom-ref": "pkg:golang/a@1?package-id=aa", "name": "a", "purl": "pkg:golang/a@1"}
    return {
        "metadata": {"component": subject},
        "components": [component],
        "dependencies": [{"ref": ref, "dependsOn": [component["bom-ref"]]}, {"ref": "x", "dependsOn": [ref]}],
    }


@pytest.mark.parametrize("ref", ["79411e9bb39fbb90", "d4206bbe8ff55100"])
def test_whatever_refers_to_the_program_goes_on_doing_so(ref: str) -> None:
    made = sbom.even_out("cyclonedx", document(ref), app="hello", moment=0)
    new = made["metadata"]["component"]["bom-ref"]
    assert made["dependencies"][0]["ref"] == made["dependencies"][1]["dependsOn"][0] == new
    assert made["components"] == document(ref)["components"], "what says itself what it is stays"
    assert canonical(made) == canonical(sbom.even_out("cyclonedx", document("other"), app="hello", moment=0))
    assert ref not in canonical(made).decode()

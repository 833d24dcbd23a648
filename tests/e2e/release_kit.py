"""What the tests of a release share: repositories made on the spot, and orders to release them."""

import base64
import json
import os
from pathlib import Path
from typing import Any

from gopub import release
from gopub.build import LocalFile
from gopub.clock import SystemClock
from gopub.paths import cache_dir
from gopub.process import base_environment, run
from gopub.release import ReleaseConfig, ReleasePlan, SignedRelease
from gopub.release.config import SigningKey
from gopub.release.stages import Described
from gopub.source.modules import ModuleReport
from gopub.store import ArtifactStore, fetch

CACHE = Path(os.environ.get("GOPUB_CACHE", cache_dir()))
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
WHO = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org", "GIT_CONFIG_GLOBAL": "/dev/null"}
GIT = base_environment(extra=WHO | {"GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.org"})

MAIN = """package main

import "os"

var version = "dev"

func main() { os.Stdout.WriteString(version + "\\n") }
"""
SMALL = {
    "go.mod": "module example.org/small\n\ngo 1.24\n",
    "main.go": MAIN,
    "gopub.yaml": 'app: small\nbuild: {ldflags: "-X main.version={{ version }}"}\n',
}


async def git(folder: Path, *words: str) -> str:
    """Git, as nobody in particular."""
    return (await run(["git", "-C", str(folder), *words], env=GIT)).text


async def a_repository(folder: Path, files: dict[str, str], *, tag: str = "v1.0.0") -> Path:
    """Commit the files, in a new repository where there is none, and tag the commit."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    if not (folder / ".git").exists():
        await git(folder, "init", "-q", "-b", "main")
    await git(folder, "add", "-A")
    await git(folder, "commit", "-q", "-m", "a commit")
    if tag:
        await git(folder, "tag", tag)
    return folder


def config(repository: Path, work: Path, ref: str = "HEAD") -> ReleaseConfig:
    """The order to release a ref of a repository."""
    return ReleaseConfig(str(repository), ref, work=work, cache=CACHE)


async def build_release(config: ReleaseConfig, *, key: SigningKey, store: ArtifactStore) -> SignedRelease:
    """The boxes of flows/release.py that make a release, without Prefect around them."""
    clock = SystemClock()
    tree = await release.checkout(config)
    plan = await release.plan(config, tree, started=clock.now())
    published = await release.already_published(store, plan.app, plan.version, tree.commit)
    if published is not None:
        return published
    modules, packed = await packed_release(plan)
    prepared = await release.sign(plan, modules, packed, key, now=clock.now)
    return await release.publish(store, prepared)


async def packed_release(plan: ReleasePlan) -> tuple[ModuleReport, list[Described]]:
    """All that is made of a commit before anything is signed."""
    modules = await release.check_modules(plan)
    built = [await release.compile_target(plan, modules, target) for target in plan.targets]
    await release.unit_tests(plan, modules)
    return modules, [await release.sbom(plan, await release.archive(plan, one)) for one in built]


async def files_of(store: ArtifactStore, signed: SignedRelease, target: str, into: Path) -> dict[str, Path]:
    """The published files of a target, by what they are, under their published names."""
    files = signed.release.targets[target]
    named = {"archive": files.archive, "binary": files.binary}
    named |= {f"sbom {name}": ref for name, ref in files.sboms.items()}
    named |= {f"bundle {name}": ref for name, ref in files.evidence.items()}
    return {what: LocalFile.write(into / ref.name, await fetch(store, ref)).path for what, ref in named.items()}


def payload(bundle: Path) -> Any:
    """The statement in a bundle, unchecked."""
    return json.loads(base64.b64decode(json.loads(bundle.read_bytes())["dsseEnvelope"]["payload"]))

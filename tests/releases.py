"""A release without a compiler: every stage after the build is the real one, the program is a few bytes."""

import hashlib
import json
from pathlib import Path

from gopub.build.artifact import LocalFile
from gopub.build.buildinfo import BuildInfo
from gopub.build.compile import Built
from gopub.build.target import Target, binary_name
from gopub.evidence.keys import generate
from gopub.release import PreparedRelease, ReleaseConfig, ReleasePlan, archive, sign
from gopub.release.environments import environments_of
from gopub.release.stages import Described
from gopub.source.golang import Toolchain
from gopub.source.modfile import Module
from gopub.source.modules import ModuleReport
from gopub.source.tree import SourceTree
from gopub.spec.loader import parse_spec

SPEC = """\
app: hello
build: {targets: [linux/amd64, windows/amd64]}
environments:
  lab:
    inventory: hosts.ini
    hosts: role=app
    health: http://127.0.0.1:8080/healthz
    config: [{template: config.yaml.tmpl, to: config.yaml}]
"""
COMMIT = "0123456789abcdef0123456789abcdef01234567"
MODULES = (Module("example.org/dep", "v1.0.0", "h1:AAAA"),)


def a_plan(folder: Path, *, version: str = "1.0.0", commit: str = COMMIT, spec: str = SPEC) -> ReleasePlan:
    """What is decided before a build, for a checkout that is only a template."""
    checkout = folder / "source"
    checkout.mkdir(parents=True, exist_ok=True)
    (checkout / "config.yaml.tmpl").write_text("listen: {{ port }}\n")
    loaded = parse_spec(spec, "gopub.yaml").spec
    return ReleasePlan(
        config=ReleaseConfig("https://git.example.org/hello", "main", work=folder, cache=folder / "cache"),
        tree=SourceTree(checkout, "https://git.example.org/hello", commit, "main", 1_700_000_000),
        project=checkout,
        spec=loaded,
        version=version,
        toolchain=Toolchain(Path("go"), "1.26.8", Path("goroot"), folder / "cache", (), "d" * 64),
        ldflags="-s -w",
        targets=tuple(Target.parse(text) for text in loaded.build.targets),
        environments=environments_of(loaded, checkout, checkout),
        started=1_700_000_100.0,
    )


async def prepare(folder: Path, plan: ReleasePlan, *, created: float = 1_700_000_200.0) -> PreparedRelease:
    """Pack, describe, sign and state; the key pair lies in ``folder/keys``."""
    key = generate(folder / "keys").private
    modules = ModuleReport(plan.project, "example.org/hello", vendored=False, modules=MODULES)
    described = [await _described(plan, target) for target in plan.targets]
    return await sign(plan, modules, described, key, now=lambda: created)


async def _described(plan: ReleasePlan, target: Target) -> Described:
    name = binary_name(plan.app, plan.version, target)
    program = LocalFile.write(plan.output / name, f"program {plan.tree.commit} {target.text}".encode())
    info = BuildInfo("1.26.8", "example.org/hello", None, MODULES)
    packed = await archive(plan, Built(target, program, info))
    document = {"name": hashlib.sha256(name.encode()).hexdigest(), "packages": []}
    sboms = {
        "spdx": LocalFile.write(
            plan.output / f"{name}.spdx.json", json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
        )
    }
    return Described(packed, sboms)

"""Booting what the demo stands on, with the parts that were asked for."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

from gopub.cli.demo.ground import NAME, Ground, settings_of
from gopub.cli.demo.real import real_parts
from gopub.cli.demo.talk import Talk
from gopub.lab.lab import Lab, take_down


def open_ground(talk: Talk, *, hosts: int, parts: str, examples: Path) -> Ground:
    """Boot the lab and point every setting of this process at the demo's own folder."""
    outside = dict(os.environ)
    talk.headline(f"Booting the lab: {hosts} hosts, an Nginx edge, Prometheus")
    asyncio.run(take_down(NAME))  # what a demo before left running would not be a first release
    lab = asyncio.run(Lab.up(NAME, hosts=hosts, sigstore=parts == "real", tell=talk.line))
    folder = lab.home / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ.update(settings_of(lab, folder))
    if parts == "real":
        return real_parts(lab, folder, examples.resolve(), talk, outside)
    return Ground(lab, folder, examples.resolve(), talk, outside)

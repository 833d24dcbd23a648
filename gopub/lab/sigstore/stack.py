"""A stack brought up, looked at, used and taken down; with a lab of hosts or without one.

Everything can be run twice: ``up`` on a stack that is half there starts what is dead and leaves the rest alone, and
``down`` finds what is left by looking.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gopub.canon import Json
from gopub.errors import GopubError
from gopub.lab import kernel
from gopub.lab.locks import locked
from gopub.lab.sigstore import fulcio, ground, keys, oidc, services, trust
from gopub.lab.sigstore.ground import place, save
from gopub.lab.sigstore.layout import SERVICES, Stack
from gopub.lab.state import write
from gopub.paths import cache_dir, private_folder

_MOVES = 3


async def up(folder: Path, tell: Callable[[str], None] = lambda _: None, *, owned: bool = False) -> Stack:
    """Bring the stack of this folder up; returns when every service answers.

    Args:
        folder: its own, made where it is missing.
        tell: gets a line when others are waited for, or when its ports change.
        owned: what is started belongs to this process: ``services.sweep`` ends it once the process is dead.

    Raises:
        GopubError: GP812 a service does not come up, GP813 its program is not there.
    """
    services.require()
    async with locked(cache_dir() / ".sigstore.lock", tell):  # two that start at once must not choose the same ports
        return await _up(folder, tell, kernel.look(os.getpid()) if owned else None)


async def _up(folder: Path, tell: Callable[[str], None], owner: kernel.Process | None) -> Stack:
    stack = ground.load(folder) or place(folder)
    for _ in range(_MOVES):
        write_files(stack)
        if not await services.stolen(stack):
            try:
                return await _start(stack, owner)
            except GopubError:
                if not await services.stolen(stack):
                    raise
        await services.end_all(folder)
        stack = place(folder, after=stack)
        tell(f"the Sigstore stack has other ports from now on: somebody took one; its issuer is {stack.issuer}")
    write_files(stack)
    return await _start(stack, owner)


def load(folder: Path) -> Stack | None:
    """The stack whose folder this is, up or half up; None where there is none."""
    return ground.load(folder)


async def _start(stack: Stack, owner: kernel.Process | None) -> Stack:
    """Fulcio looks for the issuer when it starts; all else waits for nobody."""
    await asyncio.gather(*(services.start(stack, name, owner) for name in SERVICES if name != "fulcio"))
    await services.start(stack, "fulcio", owner)
    return stack


async def down(folder: Path) -> None:
    """End whatever there is of the stack in this folder, and the folder; nothing stays."""
    await services.end_all(folder)
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def status(folder: Path) -> Mapping[str, int]:
    """The pid of each service by its name, 0 where it does not run."""
    found = {name: services.running(folder, name) for name in SERVICES}
    return {name: process.pid if process else 0 for name, process in found.items()}


def token(stack: Stack, said: Mapping[str, Json], *, lasting: int = 300) -> str:
    """A token of the stack's issuer that says ``said``; see ``oidc.claims`` and ``oidc.token``."""
    key = keys.read(stack, "oidc", keys.Rsa)
    return oidc.token(key, stack.issuer, said, now=int(time.time()), lasting=lasting)


def write_files(stack: Stack) -> None:
    """Make the folder, the keys that are missing, and all that is read of them; nothing is started.

    Raises:
        GopubError: GP812 a file of it is damaged.
    """
    private_folder(stack.folder)
    private_folder(stack.folder / "keys")
    private_folder(stack.folder / "rekor")
    keys.ensure(stack)
    rekor = keys.read(stack, "rekor", keys.Ed25519).public_key()
    ctlog = keys.read(stack, "ctlog", keys.P256).public_key()
    chain, stamps = keys.chain_of(stack, "fulcio"), keys.chain_of(stack, "timestamp")
    root = trust.trusted_root(stack, fulcio=chain, timestamp=stamps, rekor=rekor, ctlog=ctlog)
    signing = trust.signing_config(stack, chain[0].not_valid_before_utc)
    write(stack.trusted_root, json.dumps(root, indent=1) + "\n")
    write(stack.signing_config, json.dumps(signing, indent=1) + "\n")
    write(stack.trust, json.dumps(trust.client_config(root, signing), indent=1) + "\n")
    write(stack.connections, trust.connections(stack.trust))
    write(stack.folder / "fulcio.yaml", fulcio.configuration(stack.issuer))
    public = ctlog.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    write(stack.folder / "ctlog.pub", public.decode())
    save(stack)

"""``gopub host rotate``, ``revoke``, ``upgrade`` and ``roles``: what roots tell enrolled hosts."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from gopub.cli.saying import say, say_document
from gopub.cli.start import EnvOption, JsonOption, SpecOption
from gopub.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gopub.usecases.root_ground import Ground
    from gopub.usecases.root_lists import Signing
    from gopub.usecases.root_words import Heard
    from gopub.usecases.rotate_key import Changed

Found = TypeVar("Found")
Hosts = Annotated[list[str] | None, typer.Argument(help="Hosts and edges by name; default: all of the env.")]
Roots = Annotated[
    list[Path] | None,
    typer.Option(
        "--root", help="The folder of a root's pair that signs; several times. Default: those beside the list."
    ),
]
Passphrase = Annotated[str, typer.Option("--root-passphrase", help="The variable with the passphrase of these pairs.")]
Without = Annotated[
    list[str] | None,
    typer.Option("--without", metavar="HOST", help="Go on although it, or the env of that name, is not reached."),
]
Lasting = Annotated[str, typer.Option("--for", help="How long the new list of roles holds.")]


def rotate(
    env: EnvOption = "",
    roots: Roots = None,
    passphrase: Passphrase = "",
    without: Without = None,
    lasting: Lasting = "365d",
    file: SpecOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let another key sign orders, in every env and without a gap. Interrupted, it goes on when it is called again."""
    from gopub.usecases import rotate_key

    by = _by(roots, passphrase, lasting)
    _tell(_on(env, file, (), lambda ground: rotate_key.rotate(ground, by, without or ()), every=True), as_json)


def revoke(
    fingerprint: Annotated[str, typer.Argument(help="The key's fingerprint, or eight digits of it at least.")],
    env: EnvOption = "",
    roots: Roots = None,
    passphrase: Passphrase = "",
    without: Without = None,
    lasting: Lasting = "365d",
    file: SpecOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a key out of the list of roles, and bring that to the hosts of each env: its next order is refused."""
    from gopub.usecases import rotate_key

    by = _by(roots, passphrase, lasting)
    done = _on(env, file, (), lambda ground: rotate_key.revoke(ground, fingerprint, by, without or ()), every=True)
    _tell(done, as_json)


def roles(hosts: Hosts = None, env: EnvOption = "", file: SpecOption = None, as_json: JsonOption = False) -> None:
    """Bring the hosts of every env the list of roles that lies here. Roots signed it: no key of orders is asked for."""
    from gopub.usecases import rotate_key

    _tell(_on(env, file, hosts or (), rotate_key.bring, every=not hosts), as_json)


def upgrade(
    hosts: Hosts = None,
    env: EnvOption = "",
    roots: Roots = None,
    passphrase: Passphrase = "",
    without: Without = None,
    file: SpecOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring enrolled hosts the program of this gopub, signed by roots."""
    from gopub.clock import SystemClock
    from gopub.usecases import upgrade_hosts

    by, at = _by(roots, passphrase, "1d"), SystemClock().now()
    heard = _on(env, file, hosts or (), lambda ground: upgrade_hosts.upgrade(ground, by, at, without or ()))
    _tell_heard(heard, as_json)


def end(
    hosts: list[str] | None, env: str, roots: list[Path], passphrase: str, file: Path | None, reason: str, *, yes: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """``gopub host unenroll --root``: by the word of roots, over the SSH of orders."""
    from gopub.cli.engine import server_blocks
    from gopub.cli.start import choose_env, project_of, read_spec
    from gopub.usecases.end_enrolment import end_by_roots

    if not hosts or not yes:
        said = "the word is missing" if hosts else "by the word of roots it is hosts that are named"
        raise UsageError("GP458", f"nothing was unenrolled: {said}",
                         hint="gopub host unenroll HOST… --root FOLDER --yes")  # fmt: skip
    path, loaded = read_spec(file / "gopub.yaml" if file and file.is_dir() else file)
    env, by = choose_env(loaded, env), _by(roots, passphrase, "1d")
    heard = asyncio.run(end_by_roots(project_of(path), env, hosts, by, reason=reason, elsewhere=server_blocks()))
    _tell_heard(heard, as_json)


def _tell_heard(heard: tuple[Heard, ...], as_json: bool) -> None:
    if as_json:
        say_document(json.dumps({"schema_version": 1, "hosts": [one.to_json() for one in heard]}, indent=2))
    else:
        say("\n".join(map(str, heard)))


def _on(
    env: str, file: Path | None, names: list[str] | tuple[()], do: Callable[[Ground], Awaitable[Found]], *,
    every: bool = False,
) -> Found:  # fmt: skip
    from gopub.cli.engine import server_blocks
    from gopub.cli.start import choose_env, project_of, read_spec
    from gopub.usecases.root_ground import ground_of

    path, loaded = read_spec(file / "gopub.yaml" if file and file.is_dir() else file)

    async def done() -> Found:
        first = env or next(iter(loaded.spec.environments), "") if every else env
        chosen = choose_env(loaded, first)
        async with ground_of(project_of(path), chosen, names, server_blocks(), every=every) as ground:
            return await do(ground)

    return asyncio.run(done())


def _by(roots: list[Path] | None, passphrase: str, lasting: str) -> Signing:
    from gopub.clock import SystemClock
    from gopub.spec.kinds import SecretRef
    from gopub.units import seconds
    from gopub.usecases.root_lists import Signing

    opens = SecretRef(env=passphrase).reveal() if passphrase else None
    return Signing(roots or (), opens, SystemClock().now() + seconds(lasting))


def _tell(found: Changed, as_json: bool) -> None:
    if as_json:
        say_document(json.dumps({"schema_version": 1, **found.to_json()}, indent=2))
    else:
        say("\n".join(found.lines()))

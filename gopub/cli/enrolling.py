"""``gopub host enroll``, ``unenroll`` and ``list``: hosts that carry out what is signed, and nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gopub.cli import rooting
from gopub.cli.saying import say, say_document, say_table
from gopub.cli.start import EnvOption, JsonOption, ReasonOption, SpecOption
from gopub.errors import UsageError

if TYPE_CHECKING:
    from gopub.usecases.enrol_host import Enrolment, Wish
    from gopub.usecases.enrol_keys import Named

Hosts = Annotated[list[str] | None, typer.Argument(help="Hosts by name; default: all of the env.")]
Edges = Annotated[bool, typer.Option("--edges", help="The env's edges, too.")]
As = Annotated[str, typer.Option("--as", metavar="USER", help="Log in as this user; default: as orders do until now.")]
Key = Annotated[Path | None, typer.Option("--key", help="With this private key.")]
Sudo = Annotated[bool, typer.Option("--sudo", help="Become root by sudo, which asks for no password.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without, it is only told.")]
Dry = Annotated[bool, typer.Option("--dry-run", help="Only tell, and call that a success.")]
RolesFile = Annotated[Path | None, typer.Option("--roles", help="The list of roles; default: the local keys' own.")]
Login = Annotated[Path | None, typer.Option("--login", help="The SSH key of user gopub; default: one is made.")]
OnlyLogin = Annotated[
    bool, typer.Option("--only-this-login", help="Let no other controller in any more, whose login is there.")
]
OlderProgram = Annotated[
    bool, typer.Option("--older-program", help="Lay this gopub's program over that of a newer one.")
]

_AFTERWARDS = (
    "then `gopub rollout` what runs: it has nothing to do, and `gopub rollback` here learns this way to the hosts",
    "a key of root's there is still root: take off /root/.ssh/authorized_keys what no person needs",
)


def enroll(
    hosts: Hosts = None,
    env: EnvOption = "",
    edges: Edges = False,
    roles: RolesFile = None,
    login: Login = None,
    only_login: OnlyLogin = False,
    older_program: OlderProgram = False,
    user: As = "",
    key: Key = None,
    sudo: Sudo = False,
    file: SpecOption = None,
    yes: Yes = False,
    dry_run: Dry = False,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make hosts that carry out only what your keys have signed. The same again finishes and heals."""
    from gopub.cli.engine import server_blocks
    from gopub.usecases.enrol_host import enrol
    from gopub.usecases.enrol_keys import Named

    named = Named(roles, login)
    folder, wish = _wish(hosts, env, edges, user, key, sudo, file, reason, yes and not dry_run, named)
    wish = replace(wish, only_login=only_login, older_program=older_program)
    found = asyncio.run(enrol(folder, wish, server_blocks(), cut=partial(_cut, "enrolled")))
    _tell(found, as_json, "would be enrolled", "enrolled")
    if found.done and not as_json:
        say("\n".join([*([] if found.signs else _to_write(named)), *_AFTERWARDS]), err=True)
    _end(found, yes or dry_run, "enrolled")


def unenroll(
    hosts: Hosts = None,
    env: EnvOption = "",
    edges: Edges = False,
    user: As = "",
    key: Key = None,
    sudo: Sudo = False,
    roots: Annotated[
        list[Path] | None, typer.Option("--root", help="By the word of roots instead: the folder of a root's pair.")
    ] = None,
    passphrase: rooting.Passphrase = "",
    file: SpecOption = None,
    yes: Yes = False,
    dry_run: Dry = False,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take enrolment away: hosts trust again whoever has root's SSH. Services run on."""
    from gopub.cli.engine import server_blocks
    from gopub.usecases.enrol_host import unenrol

    if roots:
        rooting.end(hosts, env, roots, passphrase, file, reason, yes=yes and not dry_run, as_json=as_json)
        return
    folder, wish = _wish(hosts, env, edges, user, key, sudo, file, reason, yes and not dry_run)
    found = asyncio.run(unenrol(folder, wish, server_blocks(), cut=partial(_cut, "unenrolled")))
    _tell(found, as_json, "would be unenrolled", "unenrolled", ends=True)
    _end(found, yes or dry_run, "unenrolled")


def show(
    hosts: Hosts = None,
    env: EnvOption = "",
    edges: Edges = False,
    user: As = "",
    key: Key = None,
    sudo: Sudo = False,
    file: SpecOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the env's hosts: which are enrolled, as what, with which program, and who is root there besides."""
    from gopub.cli.engine import server_blocks
    from gopub.usecases.enrol_host import look

    folder, wish = _wish(hosts, env, edges, user, key, sudo, file)
    found = asyncio.run(look(folder, wish, server_blocks()))
    if as_json:
        say_document(json.dumps({"schema_version": 1, **found.to_json()}, indent=2))
    else:
        say_table(("HOST", "STANDS", "AS", "ENVS", "SINCE", "ROLES", "PROGRAM", "KEYS OF ROOT"), _rows(found))
    if found.failed:
        raise found.failed


def _wish(
    hosts: list[str] | None, env: str, edges: bool, user: str, key: Path | None, sudo: bool, file: Path | None,
    reason: str = "", do: bool = False, named: Named | None = None,
) -> tuple[str, Wish]:  # fmt: skip
    from gopub.cli.start import choose_env, project_of, read_spec
    from gopub.usecases.enrol_host import Way, Wish
    from gopub.usecases.enrol_keys import Named

    path, loaded = read_spec(file / "gopub.yaml" if file and file.is_dir() else file)
    way = Way(user, key, sudo)
    return project_of(path), Wish(choose_env(loaded, env), tuple(hosts or ()), edges, way, named or Named(), reason, do)


def _rows(found: Enrolment) -> list[tuple[str, ...]]:
    from gopub.canon import sha256
    from gopub.fleet import program
    from gopub.usecases.enrol_keys import serial_of

    ours = sha256(program.enrolled().encode())
    rows: list[tuple[str, ...]] = []
    for name, stands in found.stood.items():
        which = "" if not stands.program else "this gopub's" if stands.program == ours else "another"
        rows.append((name, stands.stands, " ".join(stands.names), " ".join(stands.envs), stands.enrolled,
                     str(serial_of(stands) or ""), which,
                     str(stands.root_keys)))  # fmt: skip
    return rows + [(name, error.code, "", "", "", "", "", "") for name, error in found.refused.items()]


def _tell(found: Enrolment, as_json: bool, would: str, did: str, *, ends: bool = False) -> None:
    from gopub.usecases.end_enrolment import say_others

    if as_json:
        say_document(json.dumps({"schema_version": 1, **found.to_json()}, indent=2))
        return
    for name, stands in found.stood.items():
        if name in found.refused:
            continue
        answer = found.done.get(name)
        if answer:
            said = f"{did}{'' if answer.changed else '; nothing was to be changed'}"
        else:
            said = would if name in found.meant else "nothing to do"
        besides = f"; keys that are root there besides: {stands.root_keys}" if stands.root_keys else ""
        others = say_others(name, stands.names) if ends and name in found.meant else ""
        besides += f"; {others}" if others else ""
        of = f" for {' '.join(stands.envs)}" if stands.envs else ""
        say(f"{name}: was {stands.stands}{of}; {said}{besides}{_let_in(found, name)}")
    for name, error in found.refused.items():
        say(f"{name}: {error.code} {error.problem}", err=True)
    if any(len(keys) > 1 for keys in found.logins.values()):
        say("logins of other controllers stay; --only-this-login takes them off", err=True)
    for made in found.keys.made if found.keys else ():
        say(f"made {made}", err=True)


def _let_in(found: Enrolment, name: str) -> str:
    """Who may log in there as user gopub, now or then."""
    keys = found.logins.get(name, ())
    return f"; user gopub is: {', '.join(keys)}" if keys else ""


def _cut(what: str, done: Sequence[str], left: Sequence[str]) -> None:
    """What whoever pressed Ctrl-C has to know: said at once, for nothing else is told after it."""
    if done:
        say(f"{what}: {', '.join(done)}", err=True)
    if left:
        say(f"not {what}, or half: {', '.join(left)}; `gopub host list` says how each stands", err=True)
    say("call the same again, and it goes on where it was stopped; `gopub host unenroll` takes away what is half done",
        err=True)  # fmt: skip


def _to_write(named: Named) -> list[str]:
    folder = named.roles_file.parent
    return [
        "orders reach these hosts signed, as user gopub; write into connections.yaml, and keep what else stands there:",
        "  ssh:",
        "    kind: ssh",
        "    user: gopub",
        f"    key: {named.login_file}",
        f"    sign: {{key: {folder / 'controller' / 'gopub.key'}, roles: {named.roles_file}}}",
        "an inventory that says ansible_user goes before it: there say gopub_user=gopub and gopub_key",
    ]


def _end(found: Enrolment, said: bool, what: str) -> None:
    if found.failed:
        raise found.failed
    if found.meant and not said:
        raise UsageError("GP458", f"nothing was {what} on {', '.join(found.meant)}: the word is missing",
                         hint="say --yes, or --dry-run to look only")  # fmt: skip

"""``gopub init`` and ``gopub check``: the first gopub.yaml, and what it means in full."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from gopub.cli import completing
from gopub.cli.saying import cell, console, say, say_document
from gopub.errors import ErrorGroup, GopubError, SpecError, UsageError, Where

if TYPE_CHECKING:
    from gopub.fleet.host import Host
    from gopub.spec.connections import Connections
    from gopub.spec.effective import Line
    from gopub.spec.loader import Loaded
    from gopub.spec.references import Reference

Selected: TypeAlias = tuple[int, int]
"""How many hosts are meant, and how many there are."""

_MAIN = re.compile(r"^package main\b.*^func main\(\)", re.MULTILINE | re.DOTALL)
_NOT_OURS = frozenset({"vendor", "testdata", "node_modules"})
_MOST_FOLDERS = 10_000


def init(
    folder: Annotated[
        Path, typer.Argument(help="The program's folder: that of go.mod, or one below it.", metavar="[DIR]")
    ] = Path(),
    app: Annotated[str | None, typer.Option(help="The app's name; by default from go.mod.")] = None,
    main: Annotated[str | None, typer.Option(help="The main package, such as ./cmd/orders.")] = None,
) -> None:
    """Write a first gopub.yaml for the Go program in DIR."""
    from gopub.spec.finding import FILE
    from gopub.spec.loader import parse_spec
    from gopub.spec.starter import app_of, choose_main, module_of, starter

    root, go_mod = _go_mod(folder)
    module = module_of(go_mod) if root == folder.resolve() else ""  # one module may hold many programs
    named = app or app_of(module, folder.resolve().name)
    package = main or choose_main(tuple(_main_packages(folder)), named)
    text = starter(named, package)
    parse_spec(text, "the new gopub.yaml")  # a bad --app or --main is told before anything is written
    try:
        with (folder / FILE).open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        problem = f"{folder / FILE} exists already"
        raise UsageError("GP146", problem, hint="`gopub check` shows what it means") from None
    say(
        f"wrote {folder / FILE}: app {named}, main package {package}; next: its inventory, then `gopub check`", err=True
    )


def check(
    file: Annotated[
        Path | None, typer.Option("-f", "--file", help="By default gopub.yaml here or in a folder above.")
    ] = None,
    env: Annotated[
        str | None, typer.Option("-e", "--env", help="Only this environment.", autocompletion=completing.environments)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of gopub.yaml.")] = False,
) -> None:
    """Check gopub.yaml and print what it means: every value and where it comes from."""
    if schema:
        _print_schema()
        return
    from gopub.spec.finding import find_spec
    from gopub.spec.loader import load_spec, together
    from gopub.spec.references import broken, judged_on
    from gopub.wiring.project import load_connections
    from gopub.wiring.signing_keys import wrong_keys

    path = _near(file or find_spec(Path()))
    loaded = load_spec(path)
    environments = _chosen(loaded, env)
    connections = _with_blocks(loaded, load_connections(path.parent), environments)
    errors: list[GopubError] = [*broken(loaded, connections), *_templates(loaded, path.parent)]
    errors += _projects(path.parent)
    wrong, away = wrong_keys(connections, [loaded.spec.environments[name] for name in environments])
    errors += wrong
    selected: dict[str, Selected] = {}
    sound = not errors
    for name in environments:
        for found in _select(loaded, connections, name, fill=sound):
            if isinstance(found, GopubError):
                errors.append(found)
            else:
                selected[name] = found
    if errors:
        raise together(errors)
    for line in [*_warned(loaded, environments), *away]:
        say(line, err=True)
    judged = {name: judged_on(loaded.spec.environments[name], connections) for name in environments}
    admitted = [] if as_json else [_admitted(loaded, path.parent, name) for name in environments]
    believed = [] if as_json else [line for name in environments for line in _believed(loaded, connections, name)]
    _show(loaded, env, selected, judged, [*admitted, *believed], as_json=as_json)


def _projects(folder: Path) -> Iterator[GopubError]:
    """What is wrong with the projects.yaml beside gopub.yaml, where there is one: its rules wait for nobody to look."""
    from gopub.spec import projects
    from gopub.wiring.backends import BACKENDS

    try:
        if (file := folder / projects.FILE).is_file():
            projects.load_projects(file, BACKENDS)
    except ErrorGroup as several:
        yield from several.errors
    except GopubError as error:
        yield error


def _warned(loaded: Loaded, environments: tuple[str, ...]) -> Iterator[str]:
    """What is right and yet hardly meant."""
    from gopub.spec.texts import INVENTORY
    from gopub.spec.trusting import too_wide

    for name in environments:
        traffic = loaded.spec.environments[name].traffic
        if traffic and (said := too_wide(traffic.trust)):
            yield f"{name}: warning: {said}"
        if traffic and traffic.trust == (INVENTORY,) and _asks_for_tags(loaded, name):
            yield (
                f"{name}: a route asks for tags, and edges believe hosts of the inventory alone (traffic.trust): name "
                "the gateway that tags users, where it is none of them"
            )


def _believed(loaded: Loaded, connections: Connections, env: str) -> Iterator[str]:
    """Whom its edges believe; names are looked up when a rollout is planned, not here."""
    from ipaddress import ip_address

    from gopub.plan.trusted import networks, told_left_out
    from gopub.spec.texts import INVENTORY
    from gopub.wiring.project import house_of

    environment = loaded.spec.environments[env]
    if environment.traffic is None or INVENTORY not in environment.traffic.trust:
        return
    named, house = 0, {}
    for host in house_of(connections, environment):
        try:
            house[host.name] = (str(ip_address(host.address)),)
        except ValueError:
            named += 1
    found = networks(environment.traffic.trust, house)
    shown = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
    hosts = f"{named} host{'' if named == 1 else 's'}"
    names = f"{' and ' if found else ''}the addresses of {hosts} by name, when a rollout begins" if named else ""
    yield f"{env}: edges believe {shown}{names or ('' if found else 'nobody')} (traffic.trust)"
    yield from (f"{env}: {line}" for line in told_left_out(house))


def _asks_for_tags(loaded: Loaded, env: str) -> bool:
    from gopub.spec.route import text_of

    steps = loaded.spec.environments[env].rollout.steps
    return any(step.route is not None and '"tag"' in text_of(step.route) for step in steps)


def _admitted(loaded: Loaded, project: Path, env: str) -> str:
    """Whose releases may enter, and from where: the project's word, and in part what git says."""
    from gopub.wiring.origins import sources_of

    admit = loaded.spec.environments[env].admit
    sources = asyncio.run(sources_of(admit, project))
    signers = " or ".join(one.key or f"{one.identity} of {one.issuer}" for one in admit.signed or ())
    told = "; what breaks its policy is told, not refused" if admit.mode == "warn" else ""
    return f"{env}: admits what {signers or admit.key or 'the local key'} signed, from {sources.words()}{told}"


def _with_blocks(loaded: Loaded, connections: Connections, environments: tuple[str, ...]) -> Connections:
    """The connections, and what only the Prefect server that is set up has; it is asked for missing names alone."""
    from gopub.cli.engine import server_blocks
    from gopub.spec.kinds import FleetKind
    from gopub.spec.references import Reference, environment_names, signing_names, store_names
    from gopub.wiring.naming import complete

    def missing(known: Connections) -> list[Reference]:
        needed = [*store_names(loaded.spec), *signing_names(loaded.spec, known)]
        for name in environments:
            needed += environment_names(loaded.spec.environments[name], known)
        return [one for one in needed if not known.has(one.name)]

    if missing(connections):
        connections = asyncio.run(complete(connections, missing, server_blocks()))
    try:  # the way to hosts is built in: a server that is away is no reason to check nothing
        return asyncio.run(complete(connections, lambda _: (Reference("ssh", (FleetKind,)),), server_blocks()))
    except GopubError as error:
        if error.code != "GP928":
            raise
        return connections


def _go_mod(folder: Path) -> tuple[Path, str]:
    """The nearest folder with a go.mod, from ``folder`` up to the root of its repository, and that file's text."""
    start = folder.resolve()
    for place in (start, *start.parents) if start.is_dir() else ():
        with suppress(OSError):
            return place, (place / "go.mod").read_text("utf-8", errors="replace")
        if (place / ".git").exists():
            break
    problem = f"there is no go.mod in {str(folder)!r}, nor above it in its repository"
    raise UsageError("GP147", problem, hint="name the folder of a Go program: gopub init DIR")


def _main_packages(folder: Path) -> Iterator[str]:
    """Folders of main packages as Go names them: ``.`` and ``./cmd/orders``."""
    for count, (here, folders, files) in enumerate(os.walk(folder)):
        folders[:] = sorted(name for name in folders if name not in _NOT_OURS and name[0] not in "._")
        if count and "go.mod" in files:
            folders.clear()  # another module
        elif count > _MOST_FOLDERS:
            return
        elif any(_is_main(Path(here) / name) for name in sorted(files)):
            inside = Path(here).relative_to(folder).as_posix()
            yield inside if inside == "." else f"./{inside}"


def _is_main(path: Path) -> bool:
    if path.suffix != ".go" or path.name.endswith("_test.go") or not path.is_file():
        return False
    text = path.read_text("utf-8", errors="replace")
    return "//go:build ignore" not in text and _MAIN.search(text) is not None


def _near(path: Path) -> Path:
    """The path as it is shown: from here where it lies below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_absolute() and path.is_relative_to(here) else path


def _chosen(loaded: Loaded, env: str | None) -> tuple[str, ...]:
    from gopub.spec.near import did_you_mean

    known = tuple(loaded.spec.environments)
    if env is None:
        return known
    if env not in known:
        hint = did_you_mean(env, known, otherwise="there is " + (", ".join(known) or "none"))
        raise SpecError("GP139", f"there is no environment {env!r}", hint=hint, where=Where(loaded.file))
    return (env,)


def _templates(loaded: Loaded, project: Path) -> Iterator[SpecError]:
    """What is wrong with templates whatever the hosts are."""
    from gopub.build.ldflags import known_names, render_ldflags
    from gopub.spec.references import placed
    from gopub.spec.templates import unreadable

    try:
        render_ldflags(loaded.spec.build.ldflags, known_names(loaded.spec.app))
    except SpecError as error:
        yield placed(error, loaded, "build.ldflags")
    yield from unreadable(loaded, project)


def _select(loaded: Loaded, connections: Connections, name: str, *, fill: bool) -> Iterator[GopubError | Selected]:
    """Whom an environment means: its hosts, and the edges of its router; or what is wrong with them.

    With ``fill`` the templates are filled in for the hosts, too.
    """
    from gopub.cli.rendering import unfilled
    from gopub.spec.kinds import RouterKind

    environment, path = loaded.spec.environments[name], f"environments.{name}"
    places = (f"{path}.inventory", f"{path}.hosts")
    hosts = _meant(loaded, connections, environment.inventory, environment.hosts, places)
    if isinstance(hosts, GopubError):
        yield hosts
    else:
        yield len(hosts[0]), hosts[1]
        yield from _steps_fit(loaded, name, len(hosts[0]))
        yield from unfilled(loaded, connections.project, name, hosts[0]) if fill else ()
    router = environment.traffic and connections.entries.get(environment.traffic.router)
    if isinstance(router, RouterKind):
        place = f"{path}.traffic.router"
        found = _meant(loaded, connections, router.inventory, router.hosts, (place, place))
        if isinstance(found, GopubError):
            yield found


def _steps_fit(loaded: Loaded, name: str, hosts: int) -> Iterator[GopubError]:
    """What is wrong with the steps of an environment for as many hosts as it has now."""
    from gopub.plan.steps import spec_steps
    from gopub.spec.references import placed

    rollout = loaded.spec.environments[name].rollout
    try:
        spec_steps(loaded.spec.environments[name], [str(number) for number in range(hosts)], rollout.keep_stable)
    except UsageError as error:
        key = "keep_stable" if error.code == "GP734" else "steps"
        yield placed(error, loaded, f"environments.{name}.rollout.{key}")


def _meant(
    loaded: Loaded, connections: Connections, inventory: str, hosts: str, places: tuple[str, str]
) -> GopubError | tuple[tuple[Host, ...], int]:
    """The hosts that a selector means, and of how many."""
    from gopub.spec.references import placed
    from gopub.spec.selector import parse_selector
    from gopub.wiring.project import inventory_of

    place = places[0]
    try:
        every = inventory_of(connections, inventory)
        place = places[1]
        return every.select(parse_selector(hosts)), len(every.hosts)
    except GopubError as error:
        # What is wrong inside the inventory has its own place there.
        return error if error.where else placed(error, loaded, place)


def _show(
    loaded: Loaded,
    env: str | None,
    selected: Mapping[str, Selected],
    judged: Mapping[str, str | None],
    admitted: Iterable[str],
    *,
    as_json: bool,
) -> None:
    from gopub.spec.effective import as_document, lines

    if as_json:
        say_document(json.dumps(as_document(loaded, env, selected, judged), indent=2, ensure_ascii=False))
        return
    _print_lines(lines(loaded, env))
    for name, (found, total) in selected.items():
        how = f"judged on {judged[name]}" if judged[name] else "health-only, for there is no traffic or no metrics"
        say(f"{name}: {found} of {total} hosts, {how}", err=True)
        for line in _sight(loaded, name, found) if judged[name] else ():
            say(f"{name}: {line}", err=True)
    for line in admitted:
        say(line, err=True)
    say(f"{loaded.file} is right", err=True)


def _sight(loaded: Loaded, name: str, hosts: int) -> tuple[str, ...]:
    """What its steps can see, for round numbers of requests: nobody knows the traffic here."""
    from gopub.health.config import SloTarget
    from gopub.plan import lines
    from gopub.plan.keeping import cost
    from gopub.plan.sight import Wanted, growth, table
    from gopub.plan.steps import spec_steps
    from gopub.spec.endpoints import AUTO, MOST

    environment = loaded.spec.environments[name]
    keep = environment.rollout.keep_stable
    steps = spec_steps(environment, [str(number) for number in range(hosts)], keep)
    slo = environment.judge.slo
    names = environment.judge.endpoints
    target, count = SloTarget(slo.latency_p95, slo.error_rate), MOST if AUTO in names else len(names)
    seen = table(steps, Wanted(target, environment.judge.alpha, endpoints=count))
    kept = cost(steps, hosts, keep, environment.rollout.ends_within)
    by_lines = lines.table(steps) if environment.judge.logs_profile == "article" else ()
    return (*seen, *by_lines, *growth(steps, environment.judge.score.memory_growth), *filter(None, (kept,)))


def _print_lines(listed: tuple[Line, ...]) -> None:
    from gopub.spec.effective import as_text, column

    if not sys.stdout.isatty():
        say_document(as_text(listed), nl=False)
        return
    out, width = console(soft_wrap=True), column(listed)
    for line in listed:
        origin = cell(f"  # {line.origin}" if line.origin else "", "dim" if line.is_default else "green")
        shown = cell(f"{line.text:<{width}}" if line.origin else line.text)
        if origin and shown.cell_len + origin.cell_len > out.width:  # beneath it, where there is no room beside it
            out.print(cell(line.text))
            shown = cell(" " * (len(line.text) - len(line.text.lstrip())))
        out.print(shown.append_text(origin))


def _print_schema() -> None:
    from gopub.schemas import schema
    from gopub.spec.schema import as_text

    say_document(as_text(schema("gopub")), nl=False)

"""Names that no file gives are looked for elsewhere; what a file gives is never asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gopub.errors import GopubError, SpecError
from gopub.fleet.backends.ssh import Ssh
from gopub.fleet.inventory.backends.ansible import Inventory
from gopub.health.backends.prometheus import Prometheus
from gopub.spec.connections import Connections
from gopub.spec.kinds import Connection, StoreKind
from gopub.spec.loader import parse_spec
from gopub.spec.models import Environment
from gopub.spec.references import Reference, environment_names, signing_names, store_names
from gopub.store.backends.directory import Directory
from gopub.traffic.backends.nginx import Nginx
from gopub.wiring.naming import complete
from gopub.wiring.project import load_connections

SPEC = """\
app: orders
publish: {store: artifacts}
evidence: {sign: {key: release-key}}
environments:
  prod:
    inventory: fleet
    hosts: role=orders
    health: http://127.0.0.1:8080/healthz
    traffic: edge-prod
"""
LOADED = parse_spec(SPEC, "gopub.yaml").spec
PROD = LOADED.environments["prod"]
EDGE = Nginx(inventory="edges", hosts="role=edge", metrics="prom")


@dataclass
class Shelf:
    """A place with some connections, which counts what it is asked."""

    held: Mapping[str, Connection]
    asked: list[str] = field(default_factory=list)
    away: bool = False

    def words(self) -> str:
        return "the shelf"

    async def find(self, reference: Reference) -> Connection | None:
        self.asked.append(reference.name)
        if self.away:
            raise GopubError("GP928", "the shelf does not answer", hint="wait")
        made = self.held.get(reference.name)
        return made if isinstance(made, reference.kinds) else None


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("GOPUB_CONNECTIONS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def files(project: Path, text: str = "") -> Connections:
    (project / "connections.yaml").write_text(text or "{}\n")
    return load_connections(project)


async def named(known: Connections, shelf: Shelf, environment: Environment = PROD) -> Connections:
    return await complete(known, lambda given: environment_names(environment, given), shelf)


async def test_a_router_found_elsewhere_leads_to_the_names_that_it_needs(project: Path) -> None:
    shelf = Shelf({"fleet": Inventory(path="/a"), "edge-prod": EDGE, "edges": Inventory(path="/b"),
                   "prom": Prometheus(url="http://p:9090"), "other": Ssh()})  # fmt: skip
    known = await named(files(project), shelf)
    assert known.inventory("edges") == Inventory(path="/b")
    assert known.get("prom", Prometheus).url == "http://p:9090"
    assert "other" not in known.entries
    assert sorted(shelf.asked) == ["edge-prod", "edges", "fleet", "prom", "ssh"]  # each name once


async def test_a_name_in_a_file_wins_and_nobody_is_asked(project: Path) -> None:
    text = "artifacts: {kind: directory, path: here}\nrelease-key: {kind: key, private: {env: K}, public: k.pub}\n"
    shelf = Shelf({"artifacts": Directory(path="/elsewhere")}, away=True)
    known = files(project, text)
    for names in (store_names(LOADED), signing_names(LOADED, known)):
        wanted = tuple(names)
        assert wanted
        assert await complete(known, lambda _, wanted=wanted: wanted, shelf) == known
    assert known.get("artifacts", Directory).path == project / "here"
    assert shelf.asked == []


async def test_what_is_built_in_comes_last(project: Path) -> None:
    shelf = Shelf({"ssh": Ssh(user="deploy")})
    assert (await named(files(project), shelf)).get("ssh", Ssh).user == "deploy"
    assert (await named(files(project), Shelf({}))).get("ssh", Ssh).user is None
    assert (await named(files(project, "ssh: {kind: ssh, user: file}\n"), shelf)).get("ssh", Ssh).user == "file"


async def test_an_inventory_that_is_a_file_is_not_asked_for(project: Path) -> None:
    (project / "fleet").write_text("[app]\n")
    shelf = Shelf({})
    known = await named(files(project), shelf)
    assert known.inventory("fleet") == Inventory(path=project / "fleet")
    assert "fleet" not in shelf.asked


async def test_a_name_that_is_nowhere_says_where_it_was_looked_for(project: Path) -> None:
    known = await named(files(project), Shelf({}))
    with pytest.raises(SpecError) as caught:
        known.get("edge-prod", Nginx)
    assert caught.value.code == "GP140"
    assert caught.value.hint.endswith("/etc/gopub/connections.yaml and the shelf")
    assert str(project / "connections.yaml") in caught.value.hint


async def test_a_place_that_does_not_answer_is_not_a_place_without_the_name(project: Path) -> None:
    with pytest.raises(GopubError) as caught:
        await named(files(project), Shelf({}, away=True))
    assert caught.value.code == "GP928"


async def test_one_name_cannot_mean_two_things(project: Path) -> None:
    class Both(Shelf):
        async def find(self, reference: Reference) -> Connection | None:
            return Inventory(path="/a") if Inventory in reference.kinds else Directory(path="/b")

    wanted = (Reference("prod", (Inventory,)), Reference("prod", (StoreKind,)))
    with pytest.raises(SpecError) as caught:
        await complete(files(project), lambda _: wanted, Both({}))
    assert str(caught.value.problem) == "'prod' is needed as a connection of kind inventory and of kind directory"

"""`gopub init` and `gopub check` as a user runs them, in a folder of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from gopub import schemas
from gopub.cli import spec as commands
from gopub.errors import Exit, GopubError
from gopub.spec.loader import load_spec, parse_spec
from gopub.spec.starter import app_of, module_of

CASES = YAML(typ="safe").load(Path(__file__).parents[1] / "cases/spec/command.bad.yaml")
MAIN = "// Orders.\npackage main\n\nfunc main() {}\n"
HOSTS = "[app]\nweb-1 role=orders\nweb-2 role=orders\nedge-1 role=edge\n"

APP = typer.Typer()
APP.command("init")(commands.init)
APP.command("check")(commands.check)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent-config")
    monkeypatch.delenv("GOPUB_CONNECTIONS", raising=False)
    monkeypatch.chdir(tmp_path)


def write(files: dict[str, str]) -> None:
    for name, text in files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text[2:].encode().replace(b"\\xff", b"\xff") if text.startswith("b:") else text.encode())


def run(*argv: str) -> Result:
    return CliRunner().invoke(APP, argv)


def told(*argv: str) -> Result:
    result = run(*argv)
    assert result.exception is None, result.exception
    return result


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_what_is_wrong_around_the_file_is_told_exactly(case: dict[str, Any]) -> None:
    write(case["files"])
    error = run(*case["run"]).exception
    assert isinstance(error, GopubError), error
    assert f"{error}\n" == case["error"]
    assert error.exit is Exit.USAGE


@pytest.mark.parametrize("case", [case for case in CASES if case["run"][0] == "init"], ids=lambda case: case["name"])
def test_an_init_that_fails_leaves_everything_as_it_was(case: dict[str, Any]) -> None:
    write(case["files"])
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    run(*case["run"])
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("where", ["main.go", "cmd/orders/main.go", "cmd/server/run.go"])
def test_what_init_writes_passes_check(where: str) -> None:
    write({"go.mod": "module git.corp/trade/orders/v2\n\ngo 1.24\n", where: MAIN, "deploy/hosts.ini": HOSTS})
    write({"tools/gen/main.go": f"//go:build ignore\n\n{MAIN}", "vendor/x/main.go": MAIN, "x_test.go": MAIN})
    told("init")
    text = Path("gopub.yaml").read_text("utf-8")
    assert sum(1 for line in text.splitlines() if line and not line.startswith("#")) == 7
    shown = told("check")
    spec = load_spec(Path("gopub.yaml")).spec
    folder = str(Path(where).parent)
    assert (spec.app, spec.build.main) == ("orders", "." if folder == "." else f"./{folder}")
    assert shown.stderr == (
        "prod: 2 of 3 hosts, health-only, for there is no traffic or no metrics\n"
        "prod: admits what the local key signed, from any repository "
        "(the repository is not restricted, for the project has no git remote)\n"
        "gopub.yaml is right\n"
    )


def test_init_takes_a_folder_a_name_and_a_main_package() -> None:
    write({"svc/go.mod": "module x\n", "svc/cmd/a/main.go": MAIN, "svc/cmd/b/main.go": MAIN, "svc/sub/go.mod": ""})
    told("init", "svc", "--app", "billing", "--main", "./cmd/b")
    spec = load_spec(Path("svc/gopub.yaml")).spec
    assert (spec.app, spec.build.main) == ("billing", "./cmd/b")


def test_init_in_a_folder_of_a_larger_module_names_the_app_after_it() -> None:
    write({"go.mod": "module example.com/mono\n", "main.go": MAIN, "services/orders/main.go": MAIN, ".git": ""})
    told("init", "services/orders")
    spec = load_spec(Path("services/orders/gopub.yaml")).spec
    assert (spec.app, spec.build.main) == ("orders", ".")


def test_init_looks_for_go_mod_no_further_than_the_repository() -> None:
    write({"go.mod": "module example.com/other\n", "svc/.git": "", "svc/main.go": MAIN})
    error = run("init", "svc").exception
    assert isinstance(error, GopubError)
    assert error.code == "GP147"


def test_check_prints_the_effective_spec_on_stdout_and_talks_on_stderr() -> None:
    write({"go.mod": "module orders\n", "main.go": MAIN, "deploy/hosts.ini": HOSTS})
    told("init")
    result = told("check")
    assert parse_spec(result.stdout, "x").spec == load_spec(Path("gopub.yaml")).spec
    assert "# gopub.yaml:4:6\n" in result.stdout
    assert "# default\n" in result.stdout
    assert "\x1b" not in result.output


def test_check_finds_the_file_in_a_folder_above(monkeypatch: pytest.MonkeyPatch) -> None:
    write({"go.mod": "module orders\n", "main.go": MAIN, "deploy/hosts.ini": HOSTS})
    told("init")
    monkeypatch.chdir("deploy")
    assert told("check").exit_code == 0


def test_check_as_json_has_the_spec_its_origins_and_the_hosts() -> None:
    write({"go.mod": "module orders\n", "main.go": MAIN, "deploy/hosts.ini": HOSTS})
    told("init")
    document = json.loads(told("check", "--json", "--env", "prod").stdout)
    assert document["schema_version"] == 1
    assert document["spec"]["environments"]["prod"]["max_unavailable"] == "25%"
    assert document["origins"]["environments.prod.hosts"] == "gopub.yaml:9:12"
    assert document["origins"]["environments.prod.max_load"] == "default"
    assert document["hosts"] == {"prod": {"matched": 2, "of": 3}}
    assert document["judged_on"] == {"prod": None}


RICH = """\
app: orders
environments:
  prod:
    inventory: deploy/hosts.ini
    hosts: role=orders
    health: http://127.0.0.1:8080/healthz
    traffic: edge
    rollout: {window: ["mon-thu 10:00-17:30 UTC"], steps: [{hosts: 1, weight: 30%, bake: 90s}, {hosts: 100%}]}
  dark: {inventory: deploy/hosts.ini, hosts: role=edge, health: "http://127.0.0.1:80/"}
"""


@pytest.mark.parametrize("argv", [(), ("-e", "prod"), ("--env", "dark")])
def test_check_as_json_is_what_its_schema_says(argv: tuple[str, ...]) -> None:
    edge = "edge: {kind: nginx, inventory: deploy/hosts.ini, hosts: role=edge, metrics: prom}\n"
    prom = 'prom: {kind: prometheus, url: "http://127.0.0.1:9090"}\n'
    write({"gopub.yaml": RICH, "main.go": MAIN, "deploy/hosts.ini": HOSTS, "connections.yaml": edge + prom})
    document = json.loads(told("check", "--json", *argv).stdout)
    validator = jsonschema.Draft202012Validator(schemas.schema("check"))
    validator.validate(document)
    # The control: each part is held to.
    for part, wrong in {"spec": {"app": 1}, "hosts": {"prod": 2}, "origins": None, "judged_on": {"prod": 1}}.items():
        assert not validator.is_valid({**document, part: wrong}), part
    assert not validator.is_valid({**document, "more": 1})


def test_check_refuses_steps_that_the_hosts_cannot_carry() -> None:
    edge = "edge: {kind: nginx, inventory: deploy/hosts.ini, hosts: role=edge}\n"
    write({"gopub.yaml": RICH, "main.go": MAIN, "deploy/hosts.ini": HOSTS, "connections.yaml": edge})
    assert told("check").exit_code == 0
    write({"deploy/hosts.ini": HOSTS.replace("web-2", "#")})
    error = run("check").exception
    assert isinstance(error, GopubError)
    assert error.code == "GP712"
    assert str(error).startswith("gopub.yaml:8:52: GP712 `environments.prod.rollout.steps`: step 1: 30% of the traffic")


def test_check_says_what_a_rollout_is_judged_on() -> None:
    write({"go.mod": "module orders\n", "main.go": MAIN, "deploy/hosts.ini": HOSTS})
    told("init")
    connections = "edge: {kind: nginx, inventory: deploy/hosts.ini, hosts: role=edge, metrics: prom}\n"
    write({"connections.yaml": f"{connections}prom: {{kind: prometheus, url: http://prom:9090}}\n"})
    with Path("gopub.yaml").open("a", encoding="utf-8") as file:
        file.write("    traffic: edge\n")
    said = told("check").stderr
    assert "prod: 2 of 3 hosts, judged on edges\nprod: the least error rate that a step finds" in said
    assert "prod:   step 1: 50% for 1m " in said
    assert "prod: step 1 ends before it is sure whether memory grows" in said or "steps 1 to 2 end before" in said


def test_check_says_what_a_kept_host_costs_and_refuses_to_keep_all() -> None:
    write({"go.mod": "module orders\n", "main.go": MAIN, "deploy/hosts.ini": HOSTS})
    told("init")
    connections = "edge: {kind: nginx, inventory: deploy/hosts.ini, hosts: role=edge, metrics: prom}\n"
    write({"connections.yaml": f"{connections}prom: {{kind: prometheus, url: http://prom:9090}}\n"})
    begun = Path("gopub.yaml").read_text("utf-8")
    control = f"{begun}    traffic: edge\n"
    write({"gopub.yaml": control})
    assert "stays on stable" not in told("check").stderr
    write({"gopub.yaml": f"{control}    rollout:\n      keep_stable: 1\n"})
    assert "prod: 1 of 2 hosts stays on stable with 50% of the traffic" in told("check").stderr
    write({"gopub.yaml": f"{control}    rollout:\n      keep_stable: 2\n"})
    error = run("check").exception
    line = control.count("\n") + 2
    assert str(error).startswith(
        f"gopub.yaml:{line}:20: GP734 `environments.prod.rollout.keep_stable`: keep_stable is 2"
    )


def test_check_prints_the_schema_without_a_file() -> None:
    schema = json.loads(told("check", "--schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    ("go_mod", "folder", "app"),
    [
        ("module example.com/trade/orders\n", "x", "orders"),
        ("// c\nmodule example.com/orders/v3 // c\n", "x", "orders"),
        ('module "gopkg.in/Orders_API.v2"\n', "x", "orders-api-v2"),
        ("go 1.24\n", "Order Service", "order-service"),
        ("module example.com/2fast\n", "x", "app-2fast"),
        ("module example.com/" + "a" * 60 + "\n", "x", "a" * 40),
    ],
)
def test_the_name_of_the_app_comes_from_the_module(go_mod: str, folder: str, app: str) -> None:
    assert app_of(module_of(go_mod), folder) == app


EDGES = "edges: {kind: nginx, inventory: deploy/hosts.ini, hosts: role=edge}\n"
WARNED = (
    "prod: warning: traffic.trust believes 0.0.0.0/0: anyone there may choose X-Forwarded-For, and with it who gets "
    "the canary; name the addresses of your own proxies"
)
TRAFFIC = """
app: orders
environments:
  prod:
    inventory: deploy/hosts.ini
    hosts: role=orders
    health: http://127.0.0.1:8080/healthz
    traffic: {router: edges, trust: TRUST}
"""


@pytest.mark.parametrize("mode", [[], ["--json"]], ids=["text", "json"])
def test_check_says_whom_edges_believe_and_of_whose_tags_nobody_hears(mode: list[str]) -> None:
    write({"gopub.yaml": TRAFFIC.replace("TRUST", "[inventory]") + "    rollout: {steps: [{route: {tags: beta}}]}\n"})
    hosts = "web-1 role=orders ansible_host=10.0.0.4\nweb-2 role=orders ansible_host=10.0.0.5\nedge-1 role=edge\n"
    write({"deploy/hosts.ini": hosts, "connections.yaml": EDGES, "main.go": MAIN})
    said = told("check", *mode).stderr.splitlines()
    believed = [line for line in said if "believe" in line]
    assert any("a route asks for tags, and edges believe hosts of the inventory alone" in line for line in believed)
    if "--json" not in mode:
        told_so = "edges believe 10.0.0.4/31 and the addresses of 1 host by name, when a rollout begins (traffic.trust)"
        assert f"prod: {told_so}" in said
    write({"gopub.yaml": TRAFFIC.replace("TRUST", "[]")})
    assert not any("believe" in line for line in told("check", *mode).stderr.splitlines()), "control: nobody is"


@pytest.mark.parametrize("mode", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize(("trust", "warned"), [("[0.0.0.0/1, 128.0.0.0/1]", True), ("[10.0.0.0/8]", False)])
def test_a_trust_in_everybody_is_right_and_warned_of(trust: str, warned: bool, mode: list[str]) -> None:
    write({"deploy/hosts.ini": HOSTS, "connections.yaml": EDGES, "main.go": MAIN})
    write({"gopub.yaml": TRAFFIC.replace("TRUST", trust)})
    result = told("check", *mode)
    warnings = [line for line in result.stderr.splitlines() if "warning" in line]
    assert warnings == ([WARNED] if warned else [])


def test_check_tells_what_is_wrong_with_the_rules_of_a_projects_file_beside_it() -> None:
    write({"go.mod": "module orders\n", "main.go": MAIN, "deploy/hosts.ini": HOSTS})
    told("init")
    rule = "{when: {source: gitlab, type: tag_push, match: {ref: REF}}, env: prod}"
    file = f"apps: {{orders: {{repository: /srv/x, project: /srv/x, envs: [prod], rules: [{rule}]}}}}\n"
    file += "gitlab: {token: {env: HOOK_THAT_NOBODY_SET}}\n"
    write({"projects.yaml": file.replace("REF", '"refs/tags/v*"')})
    assert told("check").exit_code == 0
    write({"projects.yaml": file.replace("REF", '"v*"')})
    error = run("check").exception
    assert isinstance(error, GopubError)
    assert str(error).startswith("projects.yaml:1:129: GP981 'v*' can never match")

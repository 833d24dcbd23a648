"""What a form's run refuses at its first steps, whatever the server let through."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gopub.errors import GopubError, RefusedError, UsageError
from gopub.release.model import EnvironmentFiles, Release
from gopub.spec.projects import Project, parse_projects
from gopub.usecases.approvers import typed
from gopub.usecases.order import Order, Pair, known_app, refuse_more_than_config

PROJECTS = parse_projects(
    """
apps: {orders: {repository: /srv/git/orders, project: /srv/orders, envs: [prod]}}
tokens: {ci: {secret: {env: T}}}
""",
    "projects.yaml",
)


def release(version: str, *templates: str, **build: Any) -> Release:
    config = [{"template": name, "to": "x"} for name in templates]
    env = EnvironmentFiles({"config": config}, {}, None)
    return Release("orders", version, "a" * 40, "/x", 1.0, {}, {"prod": env}, {"build": build})


STABLE, NEW = release("1.4.0", "etc/old.tmpl"), release("1.5.0", "etc/app.yaml.tmpl")
PAIR = Pair(NEW, STABLE)


def refused(*changed: str, pair: Pair = PAIR, spec: str = "gopub.yaml") -> str:
    try:
        refuse_more_than_config(pair, "prod", spec, changed)
    except RefusedError as error:
        return f"{error.code} {error.problem}"
    return ""


def test_an_app_of_projects_yaml_is_known_with_its_environments_and_published_names():
    assert known_app(PROJECTS, "orders", "prod", "1.4.0").project == "/srv/orders"
    assert known_app(PROJECTS, "orders", "", "").spec == "gopub.yaml"  # a release


@pytest.mark.parametrize(
    ("app", "env", "version", "code"),
    [
        ("audit", "prod", "1.4.0", "GP986"),
        ("{{ app }}", "prod", "1.4.0", "GP986"),
        ("orders", "staging", "1.4.0", "GP942"),
        ("orders", "prod", "", "GP987"),
        ("orders", "prod", "../../etc", "GP987"),
        ("orders", "prod", "1.4.0\n", "GP987"),
        ("orders", "", "a b", "GP987"),
    ],
)
def test_what_the_server_let_through_is_refused_in_words(app: str, env: str, version: str, code: str):
    with pytest.raises(GopubError) as caught:
        known_app(PROJECTS, app, env, version)
    assert caught.value.code == code
    assert isinstance(caught.value, RefusedError | UsageError)
    assert caught.value.hint


def test_configuration_is_gopub_yaml_and_the_templates_of_either_release():
    assert refused() == ""
    assert refused("gopub.yaml", "etc/app.yaml.tmpl", "etc/old.tmpl") == ""
    assert refused("svc/gopub.yaml", "svc/etc/app.yaml.tmpl", spec="svc/gopub.yaml") == ""


@pytest.mark.parametrize("name", ["main.go", "go.sum", "etc/other.tmpl", "svc/gopub.yaml", "assets/logo.svg"])
def test_any_other_file_is_more_than_configuration(name: str):
    assert refused("gopub.yaml", name).endswith(f"in more than configuration: {name}")


def test_a_go_file_is_never_a_template_and_another_build_is_another_program():
    assert "etc/app.go" in refused("etc/app.go", pair=Pair(release("1.5.0", "etc/app.go"), STABLE))
    assert "build in gopub.yaml" in refused("gopub.yaml", pair=Pair(release("1.5.0", ldflags="-X a.b=c"), STABLE))


def test_of_many_files_the_first_three_are_named():
    assert refused(*"edcba").endswith("a, b, c and 2 more")


def test_where_it_was_not_asked_nothing_is_compared():
    assert refused("main.go", pair=Pair(replace(NEW), None)) == ""


class Boxes:
    """Says what it was asked for; nothing is there."""

    def __init__(self, before: str = "") -> None:
        self.before, self.asked = before, []

    async def ordered(self, app: str, env: str, version: str) -> Project:
        return known_app(PROJECTS, app, env, version)

    async def project_folder(self, *place: str) -> str:
        self.asked.append(("folder", place))
        return "/srv/orders"

    async def drove_before(self, app: str, env: str) -> str:
        return self.before

    async def may_begin(self, project: str, app: str, env: str, *, automatic: bool) -> str:
        self.asked.append(("may begin", (project, app, env, automatic)))
        return app

    async def who_asks(self, name: str) -> str:
        return typed(name)

    async def may_be_ordered(self, folder: str, place: Project, order: Order) -> None:
        self.asked.append(("may be ordered", (folder, order)))

    async def release(self, *given: str, **more: Any) -> dict[str, str]:
        self.asked.append(("release", given[:6]))
        return {"app": "orders", "version": "1.5.0"}

    async def rollout(self, *given: Any) -> dict[str, Any]:
        self.asked.append(("rollout", given))
        return {"outcome": "promoted"}


async def walked(boxes: Boxes, **given: Any) -> list[tuple[str, Any]]:
    from flows.order import order

    await order.fn(**given, boxes=boxes, releasing=boxes.release, rolling_out=boxes.rollout)
    return boxes.asked


FOLDER = ("folder", ("/srv/git/orders", "gopub.yaml", "/srv/orders", "", "orders", "prod"))


async def test_a_form_rolls_out_what_may_be_ordered_and_the_typed_name_is_marked():
    told = await walked(
        Boxes(), app="orders", env="prod", version="1.4.0", reason="two\nlines", name="ann", target="any"
    )
    who = "ann (typed in Prefect, not verified)"
    assert told == [
        FOLDER,
        ("may begin", ("/srv/orders", "orders", "prod", False)),
        ("may be ordered", ("/srv/orders", Order("orders", "prod", "1.4.0", actor=who))),
        ("rollout", ("orders", "prod", "1.4.0", "/srv/orders", "two lines", who, False)),
    ]


async def test_a_run_that_is_tried_again_is_asked_nothing_and_clears_nothing_twice():
    told = await walked(Boxes("r-1"), app="orders", env="prod", version="1.4.0", clear_quarantine="fixed")
    assert [what for what, _ in told] == ["folder", "rollout"]


async def test_without_an_environment_it_is_released_and_nothing_is_rolled_out():
    told = await walked(Boxes(), app="orders", ref="v1.5.0")
    assert told[1:] == [("release", ("/srv/git/orders", "v1.5.0", "", "gopub.yaml", "orders", "/srv/orders"))]


async def test_a_worker_without_a_projects_file_has_no_forms_to_fill_in(tmp_path, monkeypatch):
    from tasks.choosing import refresh

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GOPUB_PROJECTS", str(tmp_path / "none.yaml"))
    assert await refresh.fn("") == {}

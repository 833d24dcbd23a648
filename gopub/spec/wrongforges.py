"""What projects.yaml says of forges that could not work: whose webhooks nobody could prove, and who is told of what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gopub.errors import SpecError
from gopub.spec.explain import at
from gopub.spec.forges import NAMES
from gopub.spec.tree import Node

if TYPE_CHECKING:
    from gopub.spec.projects import Project, Projects


def unproven(projects: Projects, name: str, app: Project, root: Node) -> Iterator[SpecError]:
    """Rules whose webhooks nobody could prove, or that wait for another forge than the app's."""
    forges, secrets = projects.forges_of(name), projects.secrets_of(name)
    if len(forges) > 1:
        yield at(root, ("apps", name, "rules"), "GP925",
                 f"{name} has rules, and there are secrets for webhooks of {' and '.join(forges)}",
                 f"say whose it hears: forge: {forges[0]}")  # fmt: skip
    elif secrets is None or not secrets.proves():
        how = {"gitlab": "token", "gitee": "password"}.get(forges[0] if forges else "gitlab", "secret")
        yield at(root, ("apps", name, "rules"), "GP925", f"{name} has rules, but no secret to check a webhook with",
                 f"add {forges[0] if forges else 'gitlab'}: {{{how}: {{env: …}}}}")  # fmt: skip
    else:
        for index, rule in enumerate(app.rules):
            if rule.source in NAMES and rule.source != forges[0]:
                yield at(root, ("apps", name, "rules", index, "when", "source"), "GP925",
                         f"{name} hears {forges[0]} alone, by the secret that is set up",
                         f"write {forges[0]}, or add {rule.source}: with its secret")  # fmt: skip


def unnamed(projects: Projects, root: Node) -> Iterator[SpecError]:
    """Apps whose forge is to be told of them, and would not know of which repository."""
    for name in projects.apps:
        if projects.api_of(name) and "/" not in projects.path_on_forge(name):
            yield at(root, ("apps", name, "repository"), "GP996",
                     f"the forge of {name} is to be told of it, and nothing names the repository there",
                     "add forge_project: group/name")  # fmt: skip

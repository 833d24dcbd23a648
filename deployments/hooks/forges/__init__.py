"""The forges whose webhooks are taken: each says how its deliveries are proven, named and read, in a module of its own.

A new forge is one module, one line in :data:`FORGES`, its secrets in gopub/spec/forges.py and its events in
gopub/spec/sources.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from deployments.hooks.forges import gitea, gitee, github, gitlab
from deployments.hooks.forges.protocol import Forge

FORGES: Mapping[str, Forge] = {
    "gitlab": gitlab.GitLab(),
    "github": github.GitHub(),
    "gitea": gitea.Gitea(),
    "gitee": gitee.Gitee(),
}
"""By the name that stands in the address of their webhook and in projects.yaml."""

"""The forges that are told: each says in a module of its own what it takes, how it is called there, and where.

A new one is one module and one line in :data:`APIS`. Gitee's API has no commit statuses, so it is none of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from deployments.writeback.apis import gitea, github, gitlab
from deployments.writeback.apis.protocol import Access, ForgeApi

APIS: Mapping[str, type[ForgeApi]] = {
    "gitlab": gitlab.GitLabApi,
    "github": github.GitHubApi,
    "gitea": gitea.GiteaApi,
}
"""By the forge's name in projects.yaml."""


def open_api(access: Access) -> ForgeApi:
    """The API of that forge; nothing is asked yet."""
    return APIS[access.forge](access)

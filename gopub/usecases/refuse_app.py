"""Which app a request may release: the one that it names, whatever the repository has become since."""

from __future__ import annotations

from gopub.errors import RefusedError


def refuse_other_app(found: str, allowed: str) -> None:
    """Refuse a commit whose gopub.yaml is of another app than ``allowed``; empty allows any.

    Who may write to a repository decides what its gopub.yaml says. Were that believed, a token or a webhook for one
    app could deploy each.

    Raises:
        RefusedError: GP940 it is of another app.
    """
    if allowed and found != allowed:
        raise RefusedError("GP940", f"gopub.yaml of this commit is of the app {found!r}; {allowed!r} was asked for",
                           hint="correct `app:` in gopub.yaml, or the name in projects.yaml")  # fmt: skip

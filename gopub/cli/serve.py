"""`gopub serve`: the REST API and the webhooks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gopub.cli.saying import say

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 8420,
    projects: Annotated[Path | None, typer.Option(help="The projects file; default: projects.yaml here.")] = None,
    server: Annotated[str, typer.Option("--server", help="The Prefect server's API; default: PREFECT_API_URL.")] = "",
    state: Annotated[Path | None, typer.Option(help="The folder for what was asked; kept over restarts.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="The certificate (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key (PEM), if apart from it.")] = None,
    tls_client_ca: Annotated[Path | None, typer.Option(help="Ask clients for a certificate of this CA.")] = None,
    plain_http: Annotated[bool, typer.Option("--plain-http", help="Without TLS: a proxy in front ends it.")] = False,
) -> None:
    """Serve POST /v1/deploy and the GitLab webhook; each starts the deployment deploy/deploy once."""
    from gopub.cli.engine import load
    from gopub.cli.setup import point_at
    from gopub.errors import UsageError
    from gopub.paths import state_dir

    tls = tls_cert is not None
    if not (tls or plain_http or host in _LOOPBACK):
        raise UsageError(
            "GP914",
            f"refused to serve {host} without TLS: tokens would cross the network in clear text",
            hint="give --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy that ends TLS",
        )
    point_at(server)
    parts = load("deployments.api.serving:open_parts")(projects, state or state_dir())
    say(f"serving {len(parts.projects.apps)} app(s) on http{'s' if tls else ''}://{host}:{port}", err=True)
    load("deployments.api.serving:serve")(
        parts, host=host, port=port, tls_cert=tls_cert, tls_key=tls_key, tls_client_ca=tls_client_ca
    )

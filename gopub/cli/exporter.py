"""`gopub exporter`: what the journal tells, as series of Prometheus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gopub.cli.saying import say


def exporter(
    listen: Annotated[str, typer.Option(help="HOST:PORT to listen on.")] = "127.0.0.1:9478",
    state: Annotated[
        Path | None,
        typer.Option(help="The folder in which gopub serve keeps its deliveries, to count those that wait."),
    ] = None,
    jenkins_names: Annotated[
        bool, typer.Option("--jenkins-names", help="Also the names that dashboards of Jenkins ask for.")
    ] = False,
    token_file: Annotated[
        Path | None, typer.Option(help="The bearer token to ask for; else GOPUB_METRICS_TOKEN.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="The certificate (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key (PEM), if apart from it.")] = None,
) -> None:
    """Serve what the journal tells of builds and rollouts as /metrics, for Prometheus."""
    from gopub.cli.engine import bring
    from gopub.cli.receiving import METRICS_TOKEN, address_of, insist_unseen, listening, token_of

    host, port = address_of(listen)
    token = token_of(token_file, METRICS_TOKEN)
    insist_unseen(host, token, tls=tls_cert is not None)
    heard = listening(host, port)
    secure = "s" if tls_cert else ""
    say(f"metrics on http{secure}://{listen.rpartition(':')[0]}:{heard.getsockname()[1]}/metrics", err=True)
    source = bring("deployments.exporter:source_of")(state, jenkins=jenkins_names)
    bring("deployments.exporter:serve")(source, heard, token=token, tls_cert=tls_cert, tls_key=tls_key)

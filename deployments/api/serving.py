"""Opening the parts and serving them: what `gopub serve` does."""

from __future__ import annotations

import logging
import signal
import ssl
import sys
from pathlib import Path

import uvicorn

from deployments.api.app import create_app
from deployments.api.connections import LISTENING
from deployments.api.parts import Parts
from deployments.deliveries import Deliveries
from deployments.engine import PrefectStarter, attended, require_server
from deployments.projects import alert_secrets, forge_access, hook_secrets, token_digests
from deployments.refs import GitRefs
from gopub.clock import SystemClock
from gopub.spec.projects import find_projects, load_projects
from gopub.wiring.backends import BACKENDS


def open_parts(projects_file: Path | None, state: Path) -> Parts:
    """Read the projects file and its secrets, find the server, open the file of deliveries in ``state``.

    Raises:
        UsageError: the file, a secret or the server's address is missing or wrong.
        GopubError: GP915 the file of deliveries cannot be used.
    """
    projects = load_projects(find_projects(projects_file), BACKENDS)
    require_server()
    return Parts(
        projects=projects,
        tokens=token_digests(projects),
        hooks=hook_secrets(projects),
        alerts=alert_secrets(projects),
        forges=forge_access(projects),
        deliveries=Deliveries(state / "deliveries.sqlite"),
        starter=PrefectStarter(),
        attended=attended,
        refs=GitRefs(),
        clock=SystemClock(),
    )


def log_to_stderr() -> None:
    """The log of a service: what the libraries complain of as well, which a command for a person keeps to itself.

    One line per run that is started is ours to say; requests and Prefect's own talk are not.
    """
    told = "%(asctime)s %(name)s %(message)s"
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=told, force=True)
    for name in ("gopub", "prefect", "uvicorn"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    for name in ("httpx", "httpcore", "prefect", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)


def serve(
    parts: Parts,
    *,
    host: str,
    port: int,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    tls_client_ca: Path | None = None,
) -> None:
    """Serve until SIGTERM, Ctrl-C or a closed terminal; requests under way are answered first."""
    log_to_stderr()
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # not under nohup
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    uvicorn.run(
        create_app(parts),
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        ssl_certfile=tls_cert,
        ssl_keyfile=tls_key,
        ssl_ca_certs=str(tls_client_ca) if tls_client_ca else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if tls_client_ca else ssl.CERT_NONE,
        **LISTENING,
    )

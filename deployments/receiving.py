"""Serving the receiver of logs: what `gopub logs receive` does. Nothing here needs Prefect, nor imports it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import uvicorn

from deployments.api.connections import LISTENING
from gopub.canon import sha256
from gopub.health.receiver.answering import Receiver
from gopub.health.receiver.keeping import Keeper


def serve(
    keeper: Keeper, heard: socket.socket, *, token: str, tls_cert: Path | None = None, tls_key: Path | None = None
) -> None:
    """Receive until SIGTERM, Ctrl-C or a closed terminal; requests under way are answered first."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(name)s %(message)s", force=True)
    gopub = logging.getLogger("gopub")
    gopub.handlers.clear()
    gopub.propagate = True
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # not under nohup
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    os.umask(0o077)
    config = uvicorn.Config(
        Receiver(keeper, digest=sha256(token.encode()) if token else ""),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        ssl_certfile=tls_cert,
        ssl_keyfile=tls_key,
        **LISTENING,
    )
    with suppress(KeyboardInterrupt):  # what it was ended by, raised again; that is how it ends
        uvicorn.Server(config).run(sockets=[heard])

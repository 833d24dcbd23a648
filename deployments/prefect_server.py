"""``python -m deployments.prefect_server --port 4200``: `prefect server start`, made fit for SQLite.

**Garbage is collected beside the event loop, not on it.** A thread that waits for SQLite's write lock holds the mutex
of its connection. Collection on the event loop may free a cursor of that connection and so wait for the mutex, while
the holder of the write lock waits for the event loop: all stands still until SQLite gives up after a minute (seen with
Prefect 3.8.8 on Python 3.11, in a busy server every few minutes). A thread of its own that waits there holds nobody up.

**It may end with its parent** (``--with-parent``): a server that one command starts for itself must not outlive it,
however that command ends.

**It may serve on a socket that it inherits** (``--listening``), without Prefect's own command, which knows of none.

**It knows who answers a form** (`deployments.logins`), where people.yaml names a proxy that does.

**It may be one of several API servers** (``--no-services``), beside `prefect server services start`
(docs/guides/prefect-ha.md).
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

from gopub.errors import GopubError

_YOUNG, _FULL = 1, 2  # generations of Python's collector
_EVERY = 1.0  # seconds between collections of the young
_FULL_EVERY = 30  # young collections to a full one
_PR_SET_PDEATHSIG = 1  # from linux/prctl.h


def collect_beside() -> threading.Thread:
    """Take garbage collection from every other thread and give it to a new one."""
    gc.disable()
    thread = threading.Thread(target=_collect, name="garbage", daemon=True)
    thread.start()
    return thread


def _collect() -> None:
    turn = 0
    while True:
        time.sleep(_EVERY)  # noqa: TID251 - a thread of its own, which decides nothing
        turn += 1
        gc.collect(_YOUNG if turn % _FULL_EVERY else _FULL)
        if turn == _FULL_EVERY:
            gc.freeze()  # what the start left behind stays: no need to walk over it again


def end_with(parent: int) -> None:
    """Be sent SIGTERM when the process ``parent``, which started this one, is gone."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before we asked
        sys.exit(0)


def main() -> None:
    """Become Prefect's server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=4200)
    parser.add_argument("--listening", type=int, metavar="NUMBER", help="serve on this open socket instead")
    parser.add_argument("--templates", type=Path, metavar="FOLDER", help="keep migrated, empty databases there")
    parser.add_argument("--with-parent", type=int, metavar="PID", help="end when this parent ends")
    parser.add_argument("--no-services", action="store_true", help="the API and the UI only, as Prefect's own option")
    options = parser.parse_args()
    if options.no_services and options.listening is not None:
        parser.error("--no-services is for a server with a port, which others stand beside")
    if options.with_parent:
        end_with(options.with_parent)
    collect_beside()
    from deployments import serving  # noqa: PLC0415 - importing Prefect takes long: first who ends us, and garbage

    if options.templates:
        serving.prepare(options.templates)
    if options.listening is not None:
        serving.serve_on(options.listening)
        return
    try:
        if serving.serve_with_logins(options.host, options.port, webserver_only=options.no_services):
            return
    except GopubError as error:
        sys.exit(str(error))
    sys.argv = ["prefect", "server", "start", "--host", options.host, "--port", str(options.port)]
    sys.argv += ["--no-services"] if options.no_services else []
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

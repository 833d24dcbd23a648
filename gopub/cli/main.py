"""The command line: which commands there are, and how an error becomes text and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated, NoReturn

import typer

from gopub import __version__
from gopub.cli import completing, lazy
from gopub.cli.folding import NARROWEST
from gopub.cli.lines import speak
from gopub.cli.saying import forgive, keep_plain, narrow, say
from gopub.cli.signals import ending
from gopub.errors import ErrorGroup, Exit, GopubError
from gopub.process import bypass_proxies, set_socks_aside

OF_THE_MACHINE = frozenset({
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.ENOSPC, errno.EDQUOT, errno.EMFILE,
    errno.ENAMETOOLONG, errno.EEXIST,
})  # fmt: skip
"""What a machine says that has no such place, no room or no permission for us."""

PROGRAM = "gopub"
"""Said in every help, and what a shell's completion goes by: also where Python was told to run this module."""

app = typer.Typer(
    name=PROGRAM,
    help="Signed, health-judged canary releases for Go services on plain Linux hosts.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        say(f"gopub {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version_flag: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Say what all commands have in common: nothing."""


def run() -> None:
    """Entry point of the console script; a user's mistake never shows a traceback."""
    bypass_proxies(os.environ)  # before any client reads it: the engine's own server listens on loopback
    set_socks_aside(os.environ)
    forgive(sys.stdout, sys.stderr)
    keep_plain(os.environ, sys.stdout, sys.stderr)
    if completing.asked(os.environ):
        _complete()
    speak()
    try:
        with ending():
            _call()
    except KeyboardInterrupt:
        say("interrupted", err=True)
        sys.exit(int(Exit.INTERRUPTED))


def _call() -> None:
    """Do what the command line says, and end with its exit code."""
    try:
        _without_frames(narrow())
        lazy.register(app, sys.argv[1:])
        app(prog_name=PROGRAM)
    except GopubError as error:
        tell_error(error)
        sys.exit(int(error.exit))
    except OSError as error:
        if error.errno not in OF_THE_MACHINE or not error.filename:
            raise
        known = _machine_refuses(error)
        tell_error(known)
        sys.exit(int(known.exit))


def _complete() -> NoReturn:
    """Answer a shell; whatever goes wrong, the prompt that somebody is typing at stays as it is."""
    completing.keep_quiet()
    try:
        lazy.register(app, completing.typed(os.environ))
        app(prog_name=PROGRAM)
    except Exception:  # noqa: BLE001 - nobody could read it
        sys.exit(int(Exit.FAILED))
    sys.exit(int(Exit.OK))


def _without_frames(width: int) -> None:
    """Let help and usage be plain text where a terminal has only so many columns."""
    if width and app.info.context_settings is not None:
        app.rich_markup_mode = None
        app.info.context_settings["terminal_width"] = max(width, NARROWEST)


def _machine_refuses(error: OSError) -> GopubError:
    """A folder or file that this machine does not let us have: told by its name."""
    hint = "may this user write there, and is there room? HOME, XDG_STATE_HOME and GOPUB_CACHE choose other folders"
    return GopubError("GP967", f"{error.filename}: {(error.strerror or 'no access').lower()}", hint=hint)


def tell_error(error: GopubError) -> None:
    """Print an error for people; of several mistakes each."""
    for one in error.errors if isinstance(error, ErrorGroup) else (error,):
        say(f"error: {one}", err=True)


if __name__ == "__main__":
    run()

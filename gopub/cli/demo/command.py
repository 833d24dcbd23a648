"""The command: boots the ground, plays the acts, prints the table, cleans up."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from gopub.cli.demo.ground import Ground
from gopub.cli.demo.opening import open_ground
from gopub.cli.demo.story import Act, hello_acts, httpbin_act, play
from gopub.cli.demo.table import print_table
from gopub.cli.demo.talk import Talk
from gopub.errors import Exit, GopubError, UsageError


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the lab, its traffic and the Prefect UI running.")
    ] = False,
    parts: Annotated[
        str, typer.Option(help="`embedded`, or `real`: MinIO, Sigstore, Prefect server, worker.")
    ] = "embedded",
    hosts: Annotated[int, typer.Option(help="Application hosts.", min=2, max=40)] = 4,
    rate: Annotated[float, typer.Option(help="Requests per second.", min=1)] = 80.0,
    bad: Annotated[str, typer.Option(help="JSON: how the bad release behaves.")] = "",
    examples: Annotated[Path, typer.Option(help="Folder of the example services.")] = Path("examples"),
) -> None:
    """Release hello 1.0.0, promote 1.1.0, catch 1.2.0 and take it back; then httpbin, through the same flows."""
    if parts not in ("embedded", "real"):
        raise UsageError("GP944", f"--parts is {parts!r}", hint="embedded or real")
    if not (examples / "hello" / "go.mod").is_file():
        raise UsageError("GP945", f"no example services in {str(examples)!r}", hint="run it in a checkout of gopub")
    signal.signal(signal.SIGTERM, _interrupt)  # whoever ends us wants the lab gone, too
    talk = Talk()
    ground = open_ground(talk, hosts=hosts, parts=parts, examples=examples)
    acts: list[Act] = []
    try:
        _play_all(ground, talk, acts, rate, bad)
    except KeyboardInterrupt:
        talk.line("interrupted; cleaning up")
        raise
    finally:
        if acts:
            print_table(acts, talk)
        if keep:
            ground.keep(rate)
        else:
            ground.close()
    if [act for act in acts if not act.as_told]:
        raise typer.Exit(int(Exit.FAILED))


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _play_all(ground: Ground, talk: Talk, acts: list[Act], rate: float, bad: str) -> None:
    try:
        with ground.traffic("hello.lab", rate) as seen:
            acts.extend(play(ground, wanted, seen, talk) for wanted in hello_acts(bad))
        with ground.traffic("httpbin.lab", rate / 2, mix=("GET /get", "POST /post")) as seen:
            acts.append(play(ground, httpbin_act(), seen, talk))
    except GopubError as error:
        for said in f"error: {error}".splitlines():
            talk.line(said)
        raise

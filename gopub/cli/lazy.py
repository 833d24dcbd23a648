"""The list of commands. Only the one that is called is imported, so that `gopub --help` stays quick."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import typer

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("gopub.cli.spec:init", "Write a first gopub.yaml."),
    "check": ("gopub.cli.spec:check", "Check gopub.yaml and print the effective spec."),
    "release": ("gopub.cli.start:release", "Build, prove and publish a commit."),
    "rollout": ("gopub.cli.start:rollout", "Bring a published release into an env, judged on the way."),
    "deploy": ("gopub.cli.start:deploy", "Release a commit, then roll it out."),
    "diff": ("gopub.cli.differing:diff", "Show what a rollout would change on which host."),
    "promote": ("gopub.cli.control:promote", "Approve, or go on to the next step now."),
    "hold": ("gopub.cli.holding:hold", "Let a rollout grow no further until it is resumed."),
    "resume": ("gopub.cli.holding:resume", "Let a rollout that is held go on."),
    "abort": ("gopub.cli.control:abort", "Take an active rollout back without blaming the release."),
    "rollback": ("gopub.cli.control:rollback", "Bring the release before, or --to one, back."),
    "recover": ("gopub.cli.control:recover", "Go on with rollouts whose driver died."),
    "status": ("gopub.cli.read:status", "Show what each env runs and what is under way."),
    "history": ("gopub.cli.read:history", "List past rollouts, the newest first: how each ended, and why."),
    "explain": ("gopub.cli.read:explain", "Show the chain from commit to verdict of a rollout."),
    "audit": ("gopub.cli.audit:app", "The journal against what the hosts remember of it."),
    "verify": ("gopub.cli.verify:verify", "Check a release and its evidence offline."),
    "countersign": ("gopub.cli.countersign:countersign", "Sign a published release as well."),
    "admit": ("gopub.cli.admit:app", "Try a policy on a release."),
    "keys": ("gopub.cli.keys:app", "Keys by role, and the list of who holds which."),
    "serve": ("gopub.cli.serve:serve", "Serve the REST API and the webhooks."),
    "exporter": ("gopub.cli.exporter:exporter", "Serve what the journal tells as series of Prometheus."),
    "setup": ("gopub.cli.setup:setup", "Set up a Prefect server: pool, limits, blocks, deployments."),
    "doctor": ("gopub.cli.doctor:doctor", "Look at the engine and all connections, and say what to do."),
    "route": ("gopub.cli.route:app", "Explain and show routes at the edges; check and install the edges' own files."),
    "host": ("gopub.cli.host:app", "Enrol hosts, so that they carry out only what is signed; take over a service."),
    "judge": ("gopub.cli.judge:app", "Replay verdicts."),
    "logs": ("gopub.cli.logs:app", "Show the classes of error lines that are known; receive logs."),
    "notify": ("gopub.cli.notify:app", "Try out who is told of rollouts."),
    "lab": ("gopub.cli.lab:app", "A real fleet on this machine."),
    "demo": ("gopub.cli.demo:demo", "Show the main job on the lab."),
}


def register(app: typer.Typer, argv: Sequence[str]) -> None:
    """Add every command to ``app``; those that ``argv`` does not name are only names with a line of help."""
    wanted = next((word for word in argv if word in COMMANDS), "")
    for name, (target, help_text) in COMMANDS.items():
        if name != wanted:
            app.command(name, help=help_text)(_never_called)
            continue
        module, attribute = target.split(":")
        found = getattr(importlib.import_module(module), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name, help=help_text)
        else:
            app.command(name, help=help_text)(found)


def _never_called() -> None:
    """Stand in the list of commands; the one that is called is always the real one."""

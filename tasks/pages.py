"""What the Prefect UI shows of a rollout: the plan, the progress of its hosts, the last verdict."""

from __future__ import annotations

from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact

from gopub.rollout.model import Plan
from gopub.rollout.planning import plan_lines
from gopub.rollout.run import Run


async def plan_page(run: Run) -> None:
    """The plan as a list."""
    if run.state.plan is None:
        return
    head, *rest = plan_lines(run.state.plan)
    text = f"## {head}\n\n" + "\n".join(f"- {line.strip()}" for line in rest)
    await acreate_markdown_artifact(text, key=_key(run, "plan"))


async def progress_page(run: Run) -> None:
    """One row for each host."""
    if run.state.plan is None:
        return
    await acreate_table_artifact(_rows(run, run.state.plan), key=_key(run, "hosts"), description=run.rollout)


async def verdict_page(run: Run) -> None:
    """The last verdict with its reason; the whole record is in the journal (`gopub explain`)."""
    verdict = run.state.verdict
    if verdict is None:
        return
    text = f"## {verdict.kind} (rule {verdict.rule})\n\n{verdict.reason}\n\n`gopub explain {run.rollout}`"
    await acreate_markdown_artifact(text, key=_key(run, "verdict"))


def _rows(run: Run, plan: Plan) -> list[dict[str, str]]:
    return [
        {
            "host": name,
            "track": host.track,
            "staged": "yes" if host.staged else "no",
            "runs": host.runs or plan.host(name).before or "-",
            "owed": host.owed or "-",
        }
        for name, host in run.state.hosts.items()
    ]


def _key(run: Run, what: str) -> str:
    """Artifact keys have lower-case letters, digits and dashes only; the same key is one history in the UI."""
    return "".join(char if char.isalnum() else "-" for char in f"{run.state.app}-{run.state.env}-{what}".lower())

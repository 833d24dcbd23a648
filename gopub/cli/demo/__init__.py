"""`gopub demo`: the main job on the lab, from a commit to a judged rollout."""

from gopub.cli.demo.command import demo

__all__ = ["demo"]

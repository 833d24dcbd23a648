"""What docs/guides/prefect-ha.md tells people to set is what this Prefect knows, and nothing stays in one process."""

from __future__ import annotations

import importlib
import re
import sys

import pytest

from gopub.process import base_environment, run
from tests.flows.cluster import ROOT, balanced, block, said

URLS = {
    "PREFECT_REDIS_MESSAGING_URL": ("prefect_redis.client", "RedisMessagingSettings"),
    "PREFECT_REDIS_WORKER_CLEANUP_QUEUE_URL": ("prefect_redis.cleanup_queue", "RedisWorkerCleanupQueueSettings"),
}
PARTS = {
    "PREFECT_MESSAGING_BROKER": "Publisher",
    "PREFECT_MESSAGING_CACHE": "Cache",
    "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "CausalOrdering",
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "ConcurrencyLeaseStorage",
    "PREFECT_SERVER_WORKER_CHANNEL_CLEANUP_QUEUE_STORAGE": "WorkerCleanupQueue",
}


def unknown(names: set[str]) -> set[str]:
    """What neither Prefect nor prefect-redis reads."""
    from prefect.settings import Settings
    from prefect.settings.legacy import _get_valid_setting_names

    return names - _get_valid_setting_names(Settings) - URLS.keys() - {"DO_NOT_TRACK"}


def test_every_setting_is_one_that_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    names = set(said())
    assert unknown(names) == set()
    assert unknown(names | {"PREFECT_SERVER_EVENTS_BROKER"}) == {"PREFECT_SERVER_EVENTS_BROKER"}, "control"
    for name, (module, kind) in URLS.items():
        assert name in names
        monkeypatch.setenv(name, "redis://elsewhere.example.net:6379/0")
        assert getattr(importlib.import_module(module), kind)().url == "redis://elsewhere.example.net:6379/0"


def test_nothing_is_kept_in_the_memory_of_one_process() -> None:
    """Whatever Prefect keeps there by default is named, and what is named has what Prefect asks of it."""
    from prefect.settings import Settings

    kept = re.findall(r"'[\w.]*\.memory'|'memory://'", str(Settings().model_dump()["server"]))
    assert len(kept) == len(PARTS) + 1, f"this Prefect keeps other things in memory than the guide knows: {kept}"
    for name, kind in PARTS.items():
        module = said()[name]
        assert hasattr(importlib.import_module(module), kind), (name, module)
    assert said()["PREFECT_SERVER_DOCKET_URL"].startswith("redis://")


def test_the_balancer_asks_both_servers() -> None:
    site = balanced(4999, ["127.64.0.1", "127.128.0.1"])
    assert "listen 127.0.0.1:4999;" in site
    assert "example.net" not in site
    assert [line.split()[1] for line in site.splitlines() if line.strip().startswith("server ") and ":" in line] == [
        "127.64.0.1:4200",
        "127.128.0.1:4200",
    ]
    assert "proxy_next_upstream" not in block("nginx"), "nginx sends no request twice by default that may have arrived"


async def test_a_server_with_a_socket_of_its_own_is_not_one_of_several() -> None:
    argv = [sys.executable, "-m", "deployments.prefect_server", "--no-services", "--listening", "0"]
    done = await run(argv, cwd=ROOT, env=base_environment(extra={"PYTHONPATH": str(ROOT)}), check=False)
    assert done.code == 2
    assert "--no-services" in done.complaint

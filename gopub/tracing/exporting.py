"""Whether spans of this process are sent, by the variables of OpenTelemetry; a wrong one is told, and ends nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from gopub import __version__
from gopub.telemetry import REDACTOR, log
from gopub.tracing import spans

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_HEADERS = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")
_SPOKEN = "http/protobuf"
_log = log("tracing")


def wanted(environment: Mapping[str, str]) -> str:
    """How spans are to be sent: ``otlp``, ``console``, or empty for not at all.

    As the specification has it: ``OTEL_SDK_DISABLED``, then ``OTEL_TRACES_EXPORTER``; unlike it, nothing is sent where
    neither that nor an endpoint is named, for most have no collector.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ""
    named = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if named in {"otlp", "console"}:
        return named
    return "otlp" if not named and any(environment.get(name, "").strip() for name in _ENDPOINTS) else ""


def trouble(environment: Mapping[str, str]) -> str:
    """Why spans cannot be sent as these variables ask; empty where they can."""
    named = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if named not in {"", "otlp", "console", "none"}:
        return f"OTEL_TRACES_EXPORTER is {named!r}: gopub knows otlp, console and none"
    spoken = next((environment[name] for name in _PROTOCOLS if environment.get(name, "").strip()), _SPOKEN)
    return "" if spoken == _SPOKEN else f"OTEL_EXPORTER_OTLP_PROTOCOL is {spoken!r}: gopub speaks {_SPOKEN} alone"


@contextmanager
def exporting() -> Iterator[None]:
    """Send the spans of the body, where the environment asks for it and nothing around does already."""
    if spans.are_kept() or not (wanted(os.environ) or trouble(os.environ)):
        yield
        return
    if said := trouble(os.environ):
        _log.warning("no spans are sent: %s", said)
        yield
        return
    for name in _HEADERS:
        for pair in os.environ.get(name, "").split(","):
            REDACTOR.learn(pair.partition("=")[2])
    try:
        from gopub.tracing.backends.otel import Otel  # noqa: PLC0415 - it takes its time, and few ask for it

        kept = Otel(__version__, console=wanted(os.environ) == "console")
    except Exception as error:  # noqa: BLE001 - whatever a variable says: a release is as good without spans
        _log.warning("no spans are sent: %s: %s", type(error).__name__, REDACTOR.clean(str(error)))
        yield
        return
    spans.keep(kept)
    try:
        yield
    finally:
        spans.keep(None)
        kept.close()

"""The worlds: what is wrong, if anything, and all that is no fault of the release."""

from __future__ import annotations

from dataclasses import replace

from tests.bench.gate.traffic import Cell, Fault

_BASE = Cell("base")
_BUSY = replace(_BASE, errors=0.005)
_TEN = (0.05, 0.25, 0.2, 0.15, 0.1, 0.1, 0.05, 0.05, 0.03, 0.02)
_SHOP = replace(_BASE, errors=0.01, slo=(0.2, 0.05))
"""Of a service in which 1 % fails always, and 5 % may."""
_ERRORS = replace(_BASE, slo=(None, None), one_metric=True)


def _cell(base: Cell, name: str, **changes: object) -> Cell:
    return replace(base, name=name, **changes)  # type: ignore[arg-type]


INNOCENT = (
    _cell(_BASE, "independent"),
    _cell(_BASE, "independent, 10/s", rps=10.0),
    _cell(_BASE, "independent, 1000/s", rps=1000.0),
    _cell(_BASE, "errors 2 % on all", errors=0.02),
    _cell(_BUSY, "shared swings", swing=0.5),
    _cell(_BUSY, "clusters of 5", cluster=5),
    _cell(_BUSY, "clusters of 20", cluster=20),
    _cell(_BUSY, "clusters of 5, no history", cluster=5, history=0),
    _cell(_BUSY, "hosts differ by 5 %", spread=0.05),
    _cell(_BUSY, "hosts differ by 15 %", spread=0.15),
    _cell(_BUSY, "hosts differ by 15 %, 1000/s", spread=0.15, rps=1000.0),
    _cell(_BUSY, "hosts differ by 15 %, canary on the worst", spread=0.15, worst=True),
    _cell(_BUSY, "hosts differ by 15 %, canary on the worst, 1000/s", spread=0.15, worst=True, rps=1000.0),
    _cell(_BUSY, "hosts differ by 15 %, clusters of 5, canary on the worst", spread=0.15, worst=True, cluster=5),
    _cell(_BUSY, "diurnal load", diurnal=0.5),
    _cell(_BASE, "cold start, declared or learnt", cold=60.0, warmup=60.0),
    _cell(_BASE, "cold start, never seen before", cold=60.0),
    _cell(_BUSY, "a tenth of the scrapes missing", missing=0.1),
    _cell(_BUSY, "counters begin anew twice", resets=2),
    _cell(_BUSY, "weights 1 > 5 > 25 > 50 %", shares=(0.01, 0.05, 0.25, 0.5), step=120.0),
    _cell(_SHOP, "ten endpoints declared", endpoints=_TEN),
    _cell(_SHOP, "ten endpoints declared, clusters of 5", endpoints=_TEN, cluster=5, spread=0.05),
    _cell(_BASE, "no traffic", rps=0.0),
    _cell(_BASE, "no traffic on the canary", shares=(0.0,)),
    _cell(_BASE, "shared incident +5 %", incident=0.05),
    _cell(_BASE, "shared incident, weights change", incident=0.05, shares=(0.05, 0.25, 0.5), step=120.0),
    _cell(_BASE, "retries hide errors on all", errors=0.01, retried=0.95),
    _cell(_BASE, "users whom all releases fail", segment=60),
    _cell(_BASE, "host drifts by 10 % at the deploy", errors=0.01, drift=0.1, note="not identifiable"),
)
GUILTY = (
    _cell(_ERRORS, "bound: 0.1 > 1 %, r = 1/9", rps=100.0, fault=Fault(errors=10)),
    _cell(_ERRORS, "bound: 0.1 > 1 %, r = 1/3", shares=(0.25,), rps=100.0, fault=Fault(errors=10)),
    _cell(_ERRORS, "bound: 0.1 > 1 %, r = 1", shares=(0.5,), rps=100.0, fault=Fault(errors=10)),
    _cell(_BASE, "errors x10, 10/s on the canary", fault=Fault(errors=10)),
    _cell(_BASE, "errors x3, 100/s on the canary", rps=1000.0, fault=Fault(errors=3)),
    _cell(_BASE, "latency x1.3, 10/s on the canary", fault=Fault(latency=1.3)),
    _cell(_BASE, "latency x1.5, 1/s on the canary", rps=10.0, fault=Fault(latency=1.5)),
    _cell(_BASE, "latency x3", fault=Fault(latency=3.0)),
    _cell(_BASE, "20 % fail", fault=Fault(extra=0.2)),
    _cell(_BASE, "late onset", fault=Fault(errors=20, begins=150.0)),
    _cell(_BASE, "late onset, minute 15", step=1200.0, scrape=15.0, fault=Fault(errors=10, begins=905.0)),
    _cell(_BASE, "late onset, minute 30", step=2100.0, scrape=15.0, fault=Fault(errors=10, begins=1805.0)),
    _cell(
        _BASE, "from the start of the fourth step", shares=(0.01, 0.05, 0.1, 0.25), fault=Fault(errors=10, begins=900.0)
    ),
    _cell(_BUSY, "errors x3, hosts differ by 15 %, 1000/s", spread=0.15, rps=1000.0, fault=Fault(errors=3)),
    _cell(_BUSY, "errors x10 in clusters of 5", cluster=5, fault=Fault(errors=10)),
    _cell(_BASE, "one endpoint of ten fails", fault=Fault(extra=0.2, share=0.1)),
    _cell(_BASE, "one endpoint of ten x5", fault=Fault(latency=5.0, share=0.1)),
    _cell(_SHOP, "5 % of the requests fail at 30 %", fault=Fault(extra=0.29, share=0.05)),
    _cell(_SHOP, "5 % of the requests fail at 30 %, declared", endpoints=_TEN, fault=Fault(extra=0.29, share=0.05)),
    _cell(_SHOP, "5 % of the requests x5", fault=Fault(latency=5.0, share=0.05)),
    _cell(_SHOP, "5 % of the requests x5, declared", endpoints=_TEN, fault=Fault(latency=5.0, share=0.05)),
    _cell(_SHOP, "20 % fail, ten endpoints declared", endpoints=_TEN, fault=Fault(extra=0.2)),
    _cell(_BASE, "one segment of users fails", fault=Fault(extra=0.5, share=0.02, burst=3)),
    _cell(_BASE, "leak of 60 MiB/min", fault=Fault(leak=60.0)),
    _cell(_BASE, "5 % of the answers cut", fault=Fault(cut=0.05)),
    _cell(_BASE, "retries hide errors", retried=0.95, fault=Fault(extra=0.05)),
    _cell(_BASE, "in the third step", shares=(0.05, 0.1, 0.25), step=120.0, fault=Fault(errors=20, begins=240.0)),
    _cell(_BASE, "20 % fail in a shared incident", incident=0.05, fault=Fault(extra=0.2, begins=150.0)),
)
CELLS = INNOCENT + GUILTY

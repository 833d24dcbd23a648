"""Where measurements come from: one line each, the kind and where its connection is."""

METRICS = {
    "prometheus": "gopub.health.backends.prometheus:Prometheus",
    "edges": "gopub.health.backends.edges:EdgesThemselves",
}
LOGS = {
    "journald": "gopub.health.backends.journald:Journald",
    "logfile": "gopub.health.backends.logfile:LogFile",
    "otlp": "gopub.health.backends.otlp:OtlpFile",
}

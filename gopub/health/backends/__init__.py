"""Where measurements come from: Prometheus for counts, journald for log lines."""

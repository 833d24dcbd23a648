"""Thin Prefect bindings of core functions: retries, limits, tags, cache policy, artifacts. No logic."""

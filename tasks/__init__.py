"""Thin Prefect bindings of core functions: retries, limits, cache policy, artifacts. No logic."""

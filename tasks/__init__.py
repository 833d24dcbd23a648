"""Thin Prefect bindings of core functions: retries, limits, cache policy, artifacts. No logic."""

import os

from gopub.process import bypass_proxies

bypass_proxies(os.environ)  # a worker's run comes in here, not through the command

"""One file per flow; each reads like the chart it is. No logic: see gopub/rollout and gopub/release."""

"""Rollouts drawn from a seed, seen by gopub's judge and by rivals: false rollbacks, misses, delays and their limit.

``python -m tests.bench.gate [--traces N] [--cells 'PART|PART'] [--arms ours] [--resume FILE]``. Ours is the product's
own observer and decision; the rivals are clean implementations of what their documents say. All of them see the same
requests.
"""

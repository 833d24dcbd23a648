"""What a forge is told of pushes and rollouts: commit statuses and deployment records, beside starting, late or never.

Three parts, of which none waits for another: what should stand there is derived (deriving) and written down (observing)
from the deliveries and the journal; what differs from what a forge took last is sent (sending). Only the last state
counts: one that was overtaken while the forge was away is never sent.
"""

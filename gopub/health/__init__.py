"""What is measured of a rollout, and what it says: samples, score, evidence, log score, observation."""

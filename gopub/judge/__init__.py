"""From an observation to a verdict: the rules, the gates before a step, the words, the replay."""

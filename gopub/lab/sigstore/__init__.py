"""A private Sigstore on loopback: Fulcio, Rekor, a timestamp authority, a CT log and an issuer of GitLab's tokens.

The first three are the real programs, which the set-up builds; the last two are ours. Nothing of it leaves the machine:
it works in a network namespace that has ``lo`` alone. Its keys are made here and vouch for nothing outside.
"""

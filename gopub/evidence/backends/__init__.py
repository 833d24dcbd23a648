"""What signs releases: one line each, the kind and where its connection is."""

BACKENDS = {
    "key": "gopub.evidence.backends.key:Key",
}

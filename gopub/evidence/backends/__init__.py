"""What signs releases, and whose certificates count: one line each, the kind and where its connection is."""

BACKENDS = {
    "key": "gopub.evidence.backends.key:Key",
}
TRUSTED = {
    "sigstore": "gopub.evidence.backends.sigstore:Sigstore",
}

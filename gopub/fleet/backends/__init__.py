"""Ways to reach hosts: one line each, the kind and where its connection is."""

BACKENDS = {
    "ssh": "gopub.fleet.backends.ssh:Ssh",
}

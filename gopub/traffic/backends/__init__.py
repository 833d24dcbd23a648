"""The routers there are: one line each, the kind and where its connection is."""

BACKENDS = {
    "nginx": "gopub.traffic.backends.nginx.client:Nginx",
}

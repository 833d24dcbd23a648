"""``gopub serve``: the REST API and the webhooks, a FastAPI application that starts deployments and runs nothing."""

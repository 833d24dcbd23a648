"""Everything that starts a flow: the deployments and their set-up, the REST API and the webhooks."""

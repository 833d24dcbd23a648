"""Webhooks as values: who sent one, what it says, which runs it starts. Pure; the routes are in deployments/api."""

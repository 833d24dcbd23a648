"""The routers that gopub knows, by the ``kind`` of their connection."""

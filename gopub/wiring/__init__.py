"""Names become objects: projects, connections, settings, and the outside that a rollout drives."""

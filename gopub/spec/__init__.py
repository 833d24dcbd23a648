"""gopub.yaml and connections.yaml: what teams write, checked, completed and typed; it starts nothing."""

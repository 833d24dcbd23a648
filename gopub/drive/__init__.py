"""Opening the outside for a rollout: settings, ports, and the ways a rollout is started, woken or taken back."""

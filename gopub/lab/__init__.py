"""The lab: a real fleet on one machine, for the demo, the end-to-end tests and for trying things out."""

"""Telling people outside of the house: messages, and the services that carry them."""

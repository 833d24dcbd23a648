"""Hosts: who they are (inventory), what is so on them (facts), what they are told (orders), and how (SSH)."""

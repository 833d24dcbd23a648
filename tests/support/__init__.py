"""Test doubles that keep the same contracts as the real parts."""

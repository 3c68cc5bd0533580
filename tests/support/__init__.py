"""Shared by the tests: a relay that misbehaves on order."""

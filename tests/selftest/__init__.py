"""A service to measure: set up with its addresses and its relay, whole or with a part that leaks."""

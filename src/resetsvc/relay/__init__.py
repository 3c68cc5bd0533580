"""SMTP and nothing else: where the relays are, lanes that are kept open, what was said and what it means."""

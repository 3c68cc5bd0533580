"""HTTP and nothing else: parse, call, answer."""

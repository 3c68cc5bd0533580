"""What happens after the answer: claim → account → compose → relay → record."""

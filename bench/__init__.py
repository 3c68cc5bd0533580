"""Measures resetsvc beside what people do today, all in one run: `python -m bench`, or `make bench`."""

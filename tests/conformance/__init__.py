"""Beside the real frameworks: each makes its tables and its people, resetsvc resets, and the framework says what it finds."""

"""The version, for the package, the changelog test and openapi.json."""

__version__ = "0.1.0"

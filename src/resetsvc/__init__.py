"""resetsvc: a password-reset service to put beside any user table."""

from resetsvc.app import create_app
from resetsvc.settings import Settings
from resetsvc.version import __version__

__all__ = ["Settings", "__version__", "create_app"]

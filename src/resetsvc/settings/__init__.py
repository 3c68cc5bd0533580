"""What can be set, and the way in for all who need it: nothing else in the service looks at the environment."""

from resetsvc.settings.keys import TEST_KEY
from resetsvc.settings.loading import load_settings
from resetsvc.settings.model import Settings
from resetsvc.settings.sources import PREFIX, read_from

__all__ = ["PREFIX", "TEST_KEY", "Settings", "load_settings", "read_from"]

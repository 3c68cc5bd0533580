"""What views may reach: the parts that the app put together, of the app that serves the request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from quart import current_app

from resetsvc.cancel import Cancel
from resetsvc.confirm import Confirm
from resetsvc.intake import Intake
from resetsvc.limits import ClientLimits
from resetsvc.links import Links
from resetsvc.metrics import Metrics
from resetsvc.settings import Settings
from resetsvc.web.pages import Pages


@dataclass(frozen=True, slots=True)
class Parts:
    """The running service as the web sees it. `readiness` returns what is wrong, by the name of the part; {} is ready."""

    settings: Settings
    pages: Pages
    intake: Intake
    limits: ClientLimits
    links: Links
    confirm: Confirm
    cancel: Cancel
    metrics: Metrics
    readiness: Callable[[], Awaitable[dict[str, str]]]


def parts() -> Parts:
    found = current_app.extensions["resetsvc"]
    assert isinstance(found, Parts)
    return found

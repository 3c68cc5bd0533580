"""What views may reach: the parts that the app put together, of the app that serves the request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

from quart import Quart, current_app

from resetsvc.cancel import Cancel
from resetsvc.confirm import Confirm
from resetsvc.intake import Intake
from resetsvc.limits import ClientLimits
from resetsvc.links import Links
from resetsvc.metrics import Metrics
from resetsvc.readiness import Readiness
from resetsvc.settings import Settings
from resetsvc.trail import Trail
from resetsvc.web.pages import Pages


@dataclass(frozen=True, slots=True)
class Parts:
    """The running service as the web sees it.

    figures   -- the metrics as text
    readiness -- whether the service can do its work
    """

    settings: Settings
    pages: Pages
    intake: Intake
    limits: ClientLimits
    links: Links
    confirm: Confirm
    cancel: Cancel
    trail: Trail
    metrics: Metrics
    figures: Callable[[], Awaitable[bytes]]
    readiness: Callable[[], Awaitable[Readiness]]


_find_app: Callable[[], Quart] = cast(Any, current_app)._get_current_object


def parts() -> Parts:
    found: Parts = _find_app().extensions["resetsvc"]
    return found

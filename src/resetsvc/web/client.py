"""The client behind the request being answered."""

from resetsvc.client_address import client_address
from resetsvc.web.asked import asked
from resetsvc.web.parts import parts


def client() -> str:
    """Its network address, with as many proxies believed as the settings say."""
    request, proxies = asked(), parts().settings.trusted_proxies
    forwarded_for = tuple(request.headers.getlist("x-forwarded-for")) if proxies else ()
    return client_address(request.remote_addr or "", forwarded_for, proxies)

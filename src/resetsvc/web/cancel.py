""" "This was not me": the page, and the POST that ends an account's open links."""

from quart import Blueprint, Response

from resetsvc.web.body import read_fields
from resetsvc.web.client import client
from resetsvc.web.parts import parts
from resetsvc.web.replies import answer

cancel = Blueprint("cancel", __name__)


@cancel.get("/reset/<token>/cancel")
async def show_page(token: str) -> Response:
    await parts().links.open(token)
    return answer(
        200,
        text="Send a POST to this address to make the link stop working.\n",
        body={"status": "open"},
        page="cancel",
        token=token,
    )


@cancel.post("/reset/<token>/cancel")
async def stop(token: str) -> Response:
    fields = await read_fields()
    asked_by = client()
    await parts().limits.spend("link", asked_by)
    # Only if the person ticked the box: a mail scanner that presses buttons locks nobody out for a day.
    mute = fields.get("mute") in (["1"], [1], [True])  # of a form, or as JSON says it
    await parts().cancel.stop_resets(token, mute=mute, client=asked_by)
    return answer(
        200,
        text="The link does not work any more.\n",
        body={"status": "cancelled", "muted": mute},
        page="cancelled",
        muted=mute,
    )

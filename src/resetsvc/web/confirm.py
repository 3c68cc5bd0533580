"""The page behind the link, and the POST that changes the password."""

from quart import Blueprint, Response

from resetsvc.errors import PasswordRefused, Reason
from resetsvc.i18n import reason_sentences
from resetsvc.links import OpenLink
from resetsvc.passwords.policy import MAX_LENGTH
from resetsvc.web.body import one_text, read_fields
from resetsvc.web.client import client
from resetsvc.web.parts import parts
from resetsvc.web.replies import answer, error_answer

confirm = Blueprint("confirm", __name__)


@confirm.get("/reset/<token>")
async def show_form(token: str) -> Response:
    """Looking uses nothing up: mail scanners and previews look too."""
    opened = await parts().links.open(token)
    settings = parts().settings
    return answer(
        200,
        text="This link works. Send the new password as the field password, by POST to this address.\n",
        body={
            "status": "open",
            "username": opened.account.address,
            "password": {"min_length": settings.password_min_length, "max_length": MAX_LENGTH},
        },
        page="new_password",
        **_form_context(token, opened, []),
    )


@confirm.post("/reset/<token>")
async def change(token: str) -> Response:
    fields = await read_fields()
    password = one_text(fields, "password")
    asked_by = client()
    await parts().limits.spend("link", asked_by)
    try:
        if not password:
            await parts().links.open(token)
            raise PasswordRefused([Reason("missing")])
        await parts().confirm.change_password(token, password, client=asked_by)
    except PasswordRefused as refused:
        opened = await parts().links.open(token)
        catalog = parts().pages.languages.catalog(parts().pages.language())
        sentences = reason_sentences(refused.reasons, catalog)
        return error_answer(refused, "new_password", **_form_context(token, opened, sentences))
    return answer(200, text="Your password was changed.\n", body={"status": "changed"}, page="done")


def _form_context(token: str, opened: OpenLink, reasons: list[str]) -> dict[str, object]:
    return {
        "token": token,
        "username": opened.account.address,
        "min_length": parts().settings.password_min_length,
        "max_length": MAX_LENGTH,
        "reasons": reasons,
    }

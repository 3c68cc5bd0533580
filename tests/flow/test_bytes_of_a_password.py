"""What an application's hash format cannot keep whole is refused to the person, in every form, and the link lives on."""

from dataclasses import dataclass

import pytest

from resetsvc.passwords.formats import format_named
from tests.flow.conftest import ANN, FORMS, NEW_PASSWORD, OLD_PASSWORD, RememberedAccounts, Start, text_of

# 41 characters, 73 octets of UTF-8.
TOO_LONG = "пароль из четырёх слов, и ещё одно слово!"
SENTENCE = (
    "Use at most 72 bytes: plain letters and digits take one each, accented letters two,"
    " other scripts and emoji up to four."
)


@dataclass
class KeptByBcrypt(RememberedAccounts):
    """Accounts of an application that keeps bcrypt."""

    async def seal(self, password: str) -> str:
        return format_named("bcrypt", rounds=4).hash(password)


@pytest.mark.parametrize("wanted", list(FORMS))
async def test_a_password_with_too_many_bytes_is_told_their_number(start: Start, wanted: str) -> None:
    accounts = KeptByBcrypt()
    account = accounts.put(ANN)
    running = await start(accounts=accounts)
    mail = await running.mail_to()
    answer = await running.set_password(mail.link_path, TOO_LONG, headers=FORMS[wanted])
    assert answer.status_code == 422
    if wanted == "json":
        assert (await answer.get_json())["reasons"] == [
            {"code": "too_many_bytes", "detail": SENTENCE, "limit": 72}
        ]
    text = await text_of(answer)
    assert SENTENCE in text
    assert TOO_LONG not in text
    assert accounts.passwords[account.id] == OLD_PASSWORD
    assert (await running.set_password(mail.link_path, TOO_LONG[:-1])).status_code == 200
    assert format_named("bcrypt").verify(accounts.passwords[account.id], TOO_LONG[:-1])


async def test_a_nul_that_bcrypt_would_stop_at_is_refused(start: Start) -> None:
    accounts = KeptByBcrypt()
    accounts.put(ANN)
    running = await start(accounts=accounts)
    mail = await running.mail_to()
    answer = await running.client.post(mail.link_path, json={"password": f"{NEW_PASSWORD}\0and more"})
    assert answer.status_code == 422
    assert [reason["code"] for reason in (await answer.get_json())["reasons"]] == ["not_text"]
    assert (await running.set_password(mail.link_path)).status_code == 200

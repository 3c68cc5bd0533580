"""The table `[accounts]` with a URL: what may stand in it, and that nothing of it is shown where it is wrong."""

import tomllib
from typing import Any

import pytest
from pydantic import ValidationError

from resetsvc.accounts.webhook import TIMEOUT
from resetsvc.accounts.webhook_mapping import WebhookMapping
from tests.support.accounts_endpoint import OTHER_SECRET, SECRET

URL = "https://shop.example.com/internal/accounts"


def mapping(**table: Any) -> WebhookMapping:
    return WebhookMapping.model_validate({"url": URL, "secret": SECRET, **table})


def test_two_lines_are_enough() -> None:
    accounts = tomllib.loads(f'[accounts]\nurl = "{URL}"\nsecret = "{SECRET}"\n')["accounts"]
    read = WebhookMapping.model_validate(accounts)
    assert (read.url, read.secrets, read.timeout, read.hash) == (URL, (SECRET,), TIMEOUT, None)


@pytest.mark.parametrize("secret", [[OTHER_SECRET, SECRET], f"{OTHER_SECRET} {SECRET}"])
def test_several_secrets_are_a_list_or_separated_by_spaces(secret: object) -> None:
    assert mapping(secret=secret).secrets == (OTHER_SECRET, SECRET)


def test_a_hash_that_is_wanted_has_a_format_and_its_costs() -> None:
    wanted = mapping(hash={"format": "bcrypt", "rounds": 12}).hash
    assert wanted is not None
    assert (wanted.format, wanted.costs) == ("bcrypt", {"rounds": 12})


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:5000/accounts",
        "http://localhost/x",
        "http://[::1]:3000",
        "http://shop.localhost/x",
        URL,
    ],
)
def test_an_endpoint_is_reached_by_https_or_on_this_machine(url: str) -> None:
    assert mapping(url=url).url == url


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"url": "http://shop.example.com/x"}, "has to be https://: new passwords are sent there"),
        ({"url": "http://127.0.0.1.example.com/x"}, "has to be https://"),
        ({"url": "https://user:planted@shop.example.com/"}, "holds a user name or a password"),
        ({"url": f"{URL}?key=planted"}, "no ? and no #"),
        ({"url": f"{URL}#planted"}, "no ? and no #"),
        ({"url": f"{URL} planted"}, "holds spaces"),
        ({"url": "shop.example.com/planted"}, "is not of the form https://host/"),
        ({"url": "ftp://shop.example.com/planted"}, "is not of the form https://host/"),
        ({"url": "https://[planted/"}, "is not of the form https://host/"),
        ({"url": "https://shop.example.com:planted/"}, "is not of the form https://host/"),
        ({"secret": "planted"}, "does not begin with whsec_"),
        ({"secret": [SECRET, "whsec_cGxhbnRlZA=="]}, "24 to 64 random bytes"),
        ({"secret": []}, "at least 1 item"),
        ({"secret": ""}, "at least 1 item"),
        ({"secret": 5}, "valid tuple"),
        ({"timeout": 0}, "greater than 0"),
        ({"timeout": 60}, "less than or equal to 8"),
        ({"hash": {"rounds": 12}}, "Field required"),
        ({"hash": {"format": "md5"}}, "there is no hash format 'md5'"),
        ({"hash": {"format": "bcrypt", "salt": "planted"}}, "the hash format bcrypt has no 'salt'"),
        ({"hash": {"format": "bcrypt", "rounds": 400}}, "the hash format bcrypt: "),
        ({"hash": {"format": "flask_security"}}, "the hash format flask_security: "),
        ({"hash": "bcrypt"}, "HashWanted"),
        ({"table": "users"}, "not permitted"),
    ],
)
def test_what_is_wrong_is_told_without_being_shown(table: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as told:
        mapping(**table)
    text = str(told.value)
    assert says in text
    for shown in ("planted", SECRET, "cGxhbnRlZA"):
        assert shown not in text


def test_it_does_not_show_its_secret() -> None:
    salted = mapping(hash={"format": "flask_security", "password_salt": "planted salt, long enough 123"})
    for shown in (SECRET, "planted"):
        assert shown not in repr(salted)

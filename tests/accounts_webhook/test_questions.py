"""What the application is asked, and what becomes of its answers."""

import pytest
from structlog.testing import capture_logs

from resetsvc.accounts import Account, Accounts
from resetsvc.accounts.webhook import WebhookAccounts
from resetsvc.errors import CannotStore
from tests.accounts_webhook.conftest import Connect
from tests.support.accounts_endpoint import OTHER_SECRET, SECRET, AccountsEndpoint

ANN, BOB = "ann@example.com", "bob@example.com"
OLD_PASSWORD = "an old password of hers"
NEW_PASSWORD = "four unrelated words here"


async def account_of(accounts: WebhookAccounts, address: str = ANN) -> Account:
    return (await accounts.find([address]))[address]


def test_it_meets_the_contract(accounts: WebhookAccounts) -> None:
    contract: Accounts = accounts
    assert contract is accounts
    assert accounts.elsewhere


# ---- find ----


async def test_all_letters_that_wait_are_one_question(
    endpoint: AccountsEndpoint, accounts: WebhookAccounts
) -> None:
    for number in range(100):
        endpoint.add(f"person{number}@example.com")
    asked = [f"person{number}@example.com" for number in range(200)]
    found = await accounts.find(asked)
    assert set(found) == set(asked[:100])
    assert {found[address].address for address in found} == set(found)
    assert endpoint.types() == ["find"]
    assert endpoint.questions[0].body == {"type": "accounts.find", "addresses": asked}


async def test_more_than_a_question_holds_are_several(
    endpoint: AccountsEndpoint, accounts: WebhookAccounts
) -> None:
    asked = [f"person{number}@example.com" for number in range(1201)]
    for address in (asked[0], asked[600], asked[1200]):
        endpoint.add(address)
    assert set(await accounts.find(asked)) == {asked[0], asked[600], asked[1200]}
    assert [len(question.body["addresses"]) for question in endpoint.questions] == [500, 500, 201]
    assert await accounts.find([]) == {}
    assert len(endpoint.questions) == 3


async def test_mail_goes_to_the_address_on_record_as_the_application_writes_it(
    endpoint: AccountsEndpoint, accounts: WebhookAccounts
) -> None:
    endpoint.add("Ann@Example.com", locale="de", active=False)
    account = await account_of(accounts)
    assert (account.address, account.locale, account.active) == ("Ann@Example.com", "de", False)


async def test_who_has_two_accounts_gets_no_mail(
    endpoint: AccountsEndpoint, accounts: WebhookAccounts
) -> None:
    endpoint.add(ANN)
    endpoint.add("ANN@example.com")
    endpoint.add(BOB)
    assert set(await accounts.find([ANN, BOB])) == {BOB}


async def test_an_address_that_is_refused_holds_up_nobody_else(
    endpoint: AccountsEndpoint, accounts: WebhookAccounts
) -> None:
    asked = [f"person{number}@example.com" for number in range(40)]
    for address in asked:
        endpoint.add(address)
    endpoint.refuses = {asked[17]}
    assert set(await accounts.find(asked)) == set(asked) - {asked[17]}
    assert len(endpoint.questions) <= 2 * 6 + 1


@pytest.mark.parametrize("begin", ["a0", "z"])
async def test_many_that_are_refused_hold_up_nobody_else_either(
    endpoint: AccountsEndpoint, accounts: WebhookAccounts, begin: str
) -> None:
    """As where somebody types them on purpose, so that they come first or last in the alphabet."""
    odd = {f"{begin}{number:03}@example.com" for number in range(30)}
    asked = sorted(odd | {ANN, BOB})
    endpoint.add(ANN)
    endpoint.refuses = odd
    with capture_logs() as records:
        assert set(await accounts.find(asked)) == {ANN}
    (told,) = [record for record in records if record["event"].startswith("the accounts endpoint refuses")]
    assert told["addresses"] == len(odd)


@pytest.mark.parametrize("letters", [1, 2, 3, 15, 16, 100, 500])
async def test_where_every_address_is_refused_nobody_is_called_unknown(
    endpoint: AccountsEndpoint, accounts: WebhookAccounts, letters: int
) -> None:
    endpoint.manner = "400"
    with pytest.raises(CannotStore):
        await accounts.find([f"{number}@example.com" for number in range(letters)])
    assert len(endpoint.questions) <= 31
    endpoint.add(ANN)
    endpoint.manner = "well"
    assert set(await accounts.find([ANN])) == {ANN}


# ---- get ----


async def test_an_account_is_got_by_its_id(endpoint: AccountsEndpoint, accounts: WebhookAccounts) -> None:
    ann = endpoint.add(ANN)
    assert await accounts.get(ann.id) == await account_of(accounts)
    assert await accounts.get("nobody") is None


async def test_the_credential_changes_with_the_version_and_with_the_address(
    endpoint: AccountsEndpoint, accounts: WebhookAccounts
) -> None:
    ann = endpoint.add(ANN)
    seen = {(await account_of(accounts)).credential}
    ann.version = 2
    seen.add((await account_of(accounts)).credential)
    ann.address = BOB
    seen.add((await account_of(accounts, BOB)).credential)
    assert len(seen) == 3
    ann.locale, ann.active = "de", False
    assert (await account_of(accounts, BOB)).credential in seen


async def test_what_is_kept_with_letters_is_a_fingerprint_of_the_version(
    endpoint: AccountsEndpoint, accounts: WebhookAccounts
) -> None:
    """An application that gives away its hash as the version gives it to the wire, not to our database."""
    endpoint.add(ANN, version=123456789)
    account = await account_of(accounts)
    assert "123456789" not in account.credential
    assert len(account.credential) == 32


# ---- swap ----


async def test_the_application_is_given_the_password_and_hashes_it_itself(
    endpoint: AccountsEndpoint, accounts: WebhookAccounts
) -> None:
    ann = endpoint.add(ANN)
    account = await account_of(accounts)
    assert await accounts.swap(None, account, await accounts.seal(NEW_PASSWORD))
    assert ann.password == NEW_PASSWORD
    after = await account_of(accounts)
    assert after.credential != account.credential
    swap = endpoint.questions[-2].body
    assert swap == {"type": "accounts.swap", "id": ann.id, "version": "v1", "password": NEW_PASSWORD}


async def test_where_a_format_is_set_the_application_is_given_the_hash_alone(
    endpoint: AccountsEndpoint, connect: Connect
) -> None:
    async def seal(password: str) -> str:
        return f"$hash${len(password)}"

    accounts = connect(seal=seal)
    ann = endpoint.add(ANN)
    account = await account_of(accounts)
    assert await accounts.swap(None, account, await accounts.seal(NEW_PASSWORD))
    assert ann.password == f"$hash${len(NEW_PASSWORD)}"
    assert endpoint.questions[-1].body["password_hash"] == ann.password
    assert NEW_PASSWORD.encode() not in b"".join(question.raw for question in endpoint.questions)


async def test_a_password_of_any_characters_arrives_as_it_was_typed(
    endpoint: AccountsEndpoint, accounts: WebhookAccounts
) -> None:
    ann = endpoint.add(ANN)
    odd = 'e\u0301 "\\\u2028\n\x00 \U0001f511 </script>'
    assert await accounts.swap(None, await account_of(accounts), odd)
    assert ann.password == odd


async def test_who_changed_meanwhile_is_left_alone(
    endpoint: AccountsEndpoint, accounts: WebhookAccounts
) -> None:
    ann = endpoint.add(ANN)
    account = await account_of(accounts)
    ann.version += 1
    assert not await accounts.swap(None, account, NEW_PASSWORD)
    ann.version, ann.active = 1, False
    assert not await accounts.swap(None, account, NEW_PASSWORD)
    del endpoint.people[ann.id]
    assert not await accounts.swap(None, account, NEW_PASSWORD)
    assert "swap" not in endpoint.types()
    assert ann.password == OLD_PASSWORD


async def test_of_a_change_in_the_last_moment_the_application_decides(
    endpoint: AccountsEndpoint, accounts: WebhookAccounts
) -> None:
    ann = endpoint.add(ANN)
    account = await account_of(accounts)

    def changes_first(account_id: str, version: str, new: dict[str, str]) -> bool:
        ann.version += 1
        return AccountsEndpoint.swap(endpoint, account_id, version, new)

    endpoint.swap = changes_first  # type: ignore[method-assign]  # the endpoint is the test's own
    assert not await accounts.swap(None, account, NEW_PASSWORD)
    assert endpoint.types()[-1] == "swap"
    assert ann.password == OLD_PASSWORD


# ---- the secret ----


async def test_one_secret_takes_anothers_place_without_a_gap(
    endpoint: AccountsEndpoint, connect: Connect
) -> None:
    endpoint.add(ANN)
    accounts = connect(secrets=[OTHER_SECRET, SECRET])
    assert await accounts.find([ANN])
    endpoint.secret = OTHER_SECRET
    assert await accounts.find([ANN])
    with pytest.raises(CannotStore):
        await connect().find([ANN])
    assert endpoint.not_genuine == ["WebhookVerificationError('No matching signature found')"]


async def test_each_question_has_an_id_of_its_own(
    endpoint: AccountsEndpoint, accounts: WebhookAccounts
) -> None:
    endpoint.add(ANN)
    for _ in range(3):
        await accounts.find([ANN])
        await accounts.get("1")
    assert len({question.message_id for question in endpoint.questions}) == 6
    assert endpoint.not_genuine == []


async def test_connections_are_used_again(endpoint: AccountsEndpoint, accounts: WebhookAccounts) -> None:
    endpoint.add(ANN)
    for _ in range(5):
        await accounts.find([ANN])
    assert endpoint.connections == 1


async def test_the_endpoint_is_told_who_asks_and_not_to_pack_its_answer(
    endpoint: AccountsEndpoint, accounts: WebhookAccounts
) -> None:
    """What is signed has to be what arrives, and its size what was bounded."""
    await accounts.find([ANN])
    head = endpoint.questions[0].head.decode().lower()
    assert head.startswith("post /internal/accounts http/1.1\r\n")
    for line in (
        "accept-encoding: identity",
        "accept: application/json",
        "content-type: application/json",
        "user-agent: resetsvc",
    ):
        assert f"\r\n{line}\r\n" in head
    for never in ("cookie", "authorization", "referer"):
        assert f"\r\n{never}:" not in head

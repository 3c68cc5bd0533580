"""Schemathesis over our own /openapi.json: no 5xx, and no answer that the document does not tell.

Longer, and with another beginning each time: make fuzz
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation

from resetsvc.testing import make_settings
from resetsvc.web.openapi import document
from tests.hostile.conftest import fuzzing
from tests.hostile.house import ANN, OPS_TOKEN, House

# The service runs in a thread of this process and takes chances meanwhile: hypothesis blames its own strategies for it.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

load_all_checks()
CONFORMANCE: list[Any] = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    ]
)
# What the service hands out is this, word for word: tests/rules/test_openapi.py.
SCHEMA = schemathesis.openapi.from_dict(
    document(make_settings(Path("nowhere"))), config=SchemathesisConfig.from_dict({})
)
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok)]
ACCEPT = ["", "application/json", "text/html", "text/plain", "application/problem+json", "*/*", "image/png"]
# Without these no generated request would ever come through to the 200: nobody guesses a link.
GOOD = {"email": ANN, "password": "four unrelated words here"}
HEADERS = st.fixed_dictionaries(
    {"Accept": st.sampled_from(ACCEPT), "Authorization": st.sampled_from(["", f"Bearer {OPS_TOKEN}"])}
)


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        yield opened


def any_case(operation: APIOperation[Any, Any, Any, Any]) -> st.SearchStrategy[Case[Any]]:
    """Requests as the document describes them, and requests that break it in one or more places."""
    return st.one_of(
        *(
            operation.as_strategy(generation_mode=mode)
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        )
    )


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
@given(data=st.data(), headers=HEADERS, plausible=st.booleans())
@fuzzing
def test_every_answer_to_a_generated_request_is_as_the_document_says(
    operation: APIOperation[Any, Any, Any, Any],
    house: House,
    session: requests.Session,
    data: st.DataObject,
    headers: dict[str, str],
    plausible: bool,
) -> None:
    case = data.draw(any_case(operation))
    if plausible:
        if "token" in case.path_parameters:
            case.path_parameters["token"] = house.open_token()
        if isinstance(case.body, dict):
            case.body = {name: GOOD.get(name, value) for name, value in case.body.items()}
    before = house.letters()
    answer = case.call(
        base_url=f"http://127.0.0.1:{house.port}",
        session=session,
        headers={name: value for name, value in headers.items() if value},
        timeout=20,
    )
    case.validate_response(answer, checks=CONFORMANCE)
    if answer.status_code == 200 and operation.method == "post":
        house.link_was_used()
    else:
        assert house.letters() == before


def test_every_operation_is_tried() -> None:
    described = document(make_settings(Path("nowhere")))["paths"]
    told = sum(1 for path in described.values() for method in path if method != "parameters")
    assert len(OPERATIONS) == told > 8


def test_the_checks_find_what_is_not_told(house: House, session: requests.Session) -> None:
    """A document that forgets a status, against the same service."""
    lying = document(make_settings(Path("nowhere")))
    del lying["paths"]["/reset/{token}"]["get"]["responses"]["410"]
    untold = schemathesis.openapi.from_dict(lying, config=SchemathesisConfig.from_dict({}))
    operation = untold["/reset/{token}"]["get"]
    case = operation.Case(path_parameters={"token": "unknown"})
    answer = case.call(base_url=f"http://127.0.0.1:{house.port}", session=session, timeout=20)
    assert answer.status_code == 410
    with pytest.raises(FailureGroup, check=lambda group: "410" in str(group.exceptions)):
        case.validate_response(answer, checks=CONFORMANCE)

"""/openapi.json as generators of clients need it: each shape and each call under one name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from podium_daemon.api.base import Model
from tests.support.site import site

one_loop = pytest.mark.asyncio(loop_scope="module")
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def answers() -> dict[str, Any]:
    """The document, and beside it a problem as it is sent, and the public URL."""
    async with site() as here:
        document = await here.get("/openapi.json")
        return {"document": document.json(), "base": here.base, "refused": await here.post("/api/calendar")}


@pytest.fixture
def document(answers: dict[str, Any]) -> dict[str, Any]:
    """The document alone."""
    found: dict[str, Any] = answers["document"]
    return found


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every call that is described."""
    for path in document["paths"].values():
        yield from (operation for method, operation in path.items() if method in METHODS)


def schemas(value: Any) -> Iterator[dict[str, Any]]:
    """Whatever stands as a schema in a part of the document, and all inside of it."""
    if isinstance(value, dict):
        yield value
        for one in value.values():
            yield from schemas(one)
    elif isinstance(value, list):
        for one in value:
            yield from schemas(one)


def test_every_shape_stands_once_under_its_name(document: dict[str, Any]) -> None:
    """No answer and no body describes an object in place: each refers to a schema, problems too."""
    for operation in operations(document):
        for part in schemas([operation["responses"], operation.get("requestBody", {})]):
            assert "properties" not in part, (operation["operationId"], part)
    for name, model in document["components"]["schemas"].items():
        for field, part in model.get("properties", {}).items():
            assert not any("properties" in inner for inner in schemas(part)), f"{name}.{field}"


def test_names_of_schemas_are_the_models_own(document: dict[str, Any]) -> None:
    """No schema carries a module's path or `-Input` and `-Output`, which stand for a name given twice."""
    names = set(document["components"]["schemas"])
    assert all(re.fullmatch(r"[A-Z][A-Za-z0-9]+", name) for name in names), names
    assert {"Problem", "SessionOut", "EventModel"} <= names


def test_no_two_models_have_one_name() -> None:
    """A name says which model it is, also of one that no call describes yet."""
    counted = Counter(model.__name__ for model in _all_below(Model))
    assert [name for name, count in counted.items() if count > 1] == []
    assert len(counted) > 60


def _all_below(model: type[Model]) -> Iterator[type[Model]]:
    for below in model.__subclasses__():
        yield below
        yield from _all_below(below)


def test_calls_have_short_names_of_their_own(document: dict[str, Any]) -> None:
    """An operation id is a verb with its object, without its path, and no second call has it."""
    ids = [operation["operationId"] for operation in operations(document)]
    assert len(set(ids)) == len(ids) > 50
    for name in ids:
        assert re.fullmatch(r"[a-z]+(_[a-z]+){1,3}", name), name
        assert len(name) <= 30, name


def test_the_document_says_where_it_is_served(answers: dict[str, Any]) -> None:
    """The one server is the configured public URL, not what a request called itself."""
    assert answers["document"]["servers"] == [{"url": answers["base"]}]


def test_problems_are_sent_as_described(answers: dict[str, Any]) -> None:
    """A refusal has exactly the fields that `Problem` requires."""
    refused: httpx.Response = answers["refused"]
    assert refused.status_code == 401
    assert refused.headers["content-type"] == "application/problem+json"
    problem = answers["document"]["components"]["schemas"]["Problem"]
    assert set(refused.json()) == set(problem["required"]) == set(problem["properties"])

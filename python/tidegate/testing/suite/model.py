"""A file of tests, field for field: requests to a gateway, and what is to become of them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from tidegate.config.base import Model, problem
from tidegate.config.check import TOKEN
from tidegate.config.problem import quote
from tidegate.config.values import Duration, Integer, LongDuration, Text, Texts, Truth

_REQUEST = re.compile(r"(?:([A-Z][A-Z-]*) )?(/\S*|\*)")
_PATH = re.compile(r"/[!-~]*|\*")
_ENDINGS = ("hangs", "resets", "closes")


def _path(value: str) -> str:
    if not _PATH.fullmatch(value):
        raise problem("bad_value", f"expected a path such as `/orders/1`, got {quote(value)}", "encode spaces: `%20`")
    return value


def _method(value: str) -> str:
    if not TOKEN.fullmatch(value):
        raise problem("bad_value", f"expected a method such as `GET`, got {quote(value)}")
    return value


def pattern_fault(value: str) -> str | None:
    """Why what follows `~` is no regular expression; `None` when it is one, or is none of this."""
    try:
        re.compile(value[1:] if value.startswith("~") else "")
    except re.error as error:
        return f"{quote(value[1:])} is not a regular expression: {error.msg}"
    return None


def _expected_text(value: str | None) -> str | None:
    if value is not None and (fault := pattern_fault(value)) is not None:
        raise problem("bad_value", fault)
    return value


def _request(value: object) -> object:
    """`GET /orders/1` is short for the method and the path."""
    if not isinstance(value, str):
        return value
    match = _REQUEST.fullmatch(value)
    if match is None:
        raise problem("bad_value", f"expected a request such as `GET /orders/1`, got {quote(value)}")
    return {"method": match[1], "path": match[2]} if match[1] else {"path": match[2]}


def _returned(value: object) -> object:
    """A status, or the word for no answer, is short for an answer with nothing else; one is short for a list of one."""
    values = value if isinstance(value, list) else [value]
    return [_spelled(one) for one in values]


def _spelled(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return {"status": value}
    if isinstance(value, str):
        if value not in _ENDINGS:
            known = ", ".join(f"`{word}`" for word in _ENDINGS)
            raise problem("bad_value", f"expected a status, a mapping or one of {known}, got {quote(value)}")
        return {"ending": value}
    return value


Values = dict[str, Text]
PathText = Annotated[Text, AfterValidator(_path)]
Method = Annotated[Text, AfterValidator(_method)]
Condition = Annotated[Text | None, AfterValidator(_expected_text)]
Conditions = dict[str, Condition]


class Asked(Model):
    """A request that services are told of, or asked for."""

    method: Method | None = Field(None, description="Its method; any unless given.")
    path: PathText = Field(
        description="Its path as the service sees it, with or without a query: `{id}` stands for a segment, `*` for "
        "any path."
    )


AskedRequest = Annotated[Asked, BeforeValidator(_request, json_schema_input_type=Asked | str)]


class Returned(Model):
    """What a service that is not real answers."""

    status: Integer = Field(200, ge=200, le=999, description="The status.")
    headers: Values = Field(default_factory=dict, description="Its headers.")
    content: Any = Field(None, alias="json", description="The body, as JSON.")
    text: Text | None = Field(None, description="The body, as text.")
    after: Duration | None = Field(None, description="The time until it begins, which is waited for.")
    ending: Literal["hangs", "resets", "closes"] | None = Field(
        None, description="No answer at all. `returns: hangs` is short for it."
    )


class Told(Model):
    """What a service that is not real does with a request."""

    request: AskedRequest = Field(description="`GET /orders/{id}`, `/orders` for any method, or `*` for every request.")
    query: Values = Field(default_factory=dict, description="Parameters that it has.")
    headers: Conditions = Field(
        default_factory=dict, description="Headers that it has; `~` begins a regular expression, `null` is none."
    )
    content: Any = Field(None, alias="json", description="Members that its body has.")
    returns: Annotated[
        list[Returned],
        BeforeValidator(_returned, json_schema_input_type=Returned | int | str | list[Returned | int | str]),
    ] = Field(
        default_factory=lambda: [Returned(status=200)],
        description="The answer; a status alone will do, and `hangs`, `resets` or `closes`. Of a list, the requests "
        "get one after another, and the last again and again.",
    )


Services = dict[str, list[Told]]


class Sent(Model):
    """A request to the gateway."""

    method: Method = Field("GET", description="Its method.")
    path: PathText = Field(description="Its path, with or without a query.")
    headers: Values = Field(default_factory=dict, description="Its headers.")
    query: Values = Field(default_factory=dict, description="Parameters, which are encoded.")
    content: Any = Field(None, alias="json", description="The body, as JSON.")
    text: Text | None = Field(None, description="The body, as text.")
    claims: dict[str, Any] | None = Field(
        None, description="Claims of a signed token in `Authorization`, as policies such as `jwt` take it."
    )
    listener: Text | None = Field(None, description="Name of the listener that is asked; the first unless given.")


class Got(Model):
    """A request that a service is to get."""

    service: Text = Field(description="Name of the service.")
    request: AskedRequest = Field(description="Method and path, `GET /orders/1`.")
    query: Values = Field(default_factory=dict, description="Parameters that it has.")
    headers: Conditions = Field(
        default_factory=dict, description="Headers that it has; `~` begins a regular expression, `null` is none."
    )
    content: Any = Field(None, alias="json", description="Members that its body has.")
    times: Integer = Field(1, ge=1, le=10_000, description="How often.")


class Expected(Model):
    """What is to become of a request. What is not named may be anything."""

    status: Integer | None = Field(None, ge=100, le=999, description="Status of the answer.")
    route: Text | None = Field(None, description="Name of the route that took it; `null`: none did.")
    allowed: Truth | None = Field(
        None,
        description="`true`: the gateway refused nothing and did not fail; what the service says is another matter.",
    )
    refused_by: Text | None = Field(None, description="Name of the policy that refused it.")
    code: Text | None = Field(None, description="The code of the gateway's own answer, such as `rate_limited`.")
    rule: Text | None = Field(None, description="The rule or limit that decided, as in the access log.")
    headers: Conditions = Field(
        default_factory=dict,
        description="Headers of the answer; `~` begins a regular expression, `null` is none of that name.",
    )
    content: Any = Field(
        None, alias="json", description="Members of the answer's JSON; others may be there. Lists are compared whole."
    )
    text: Condition = Field(None, description="The whole body, as text; `~` begins a regular expression.")
    exactly: Truth = Field(False, description="`json` is all there is: other members are a failure.")
    upstream: list[Got] | None = Field(
        None, description="All requests that services get meanwhile, in any order; `[]`: none."
    )


class Step(Model):
    """One request and its answer, or a move of the clock."""

    advance: LongDuration | None = Field(None, description="Moves the gateway's clock forward, before the request.")
    services: Services = Field(default_factory=dict, description="What services do from here on.")
    request: Annotated[Sent | None, BeforeValidator(_request, json_schema_input_type=Sent | str | None)] = Field(
        None, description="The request, `GET /api/orders/1` or a mapping."
    )
    repeat: Integer = Field(1, ge=1, le=10_000, description="How often it is sent; each answer is to be as expected.")
    meanwhile: LongDuration | None = Field(
        None, description="Moves the clock forward once a service that hangs has the request."
    )
    expect: Expected = Field(default_factory=Expected, description="What is to become of it.")


class Case(Step):
    """A test: a gateway that was just started, and one step or several."""

    name: Text = Field(description="What it is about, in words.")
    steps: list[Step] | None = Field(None, min_length=1, description="Several steps, in the place of `request`.")


class Suite(Model):
    """A file of tests."""

    document: Text | None = Field(
        None,
        description="The document that is tested, relative to this file. Without, `gateway.yaml` for "
        "`gateway.test.yaml`.",
    )
    environment: Values = Field(
        default_factory=dict, description="What `${env:NAME}` of the document stands for, over the environment."
    )
    real: Texts = Field(default_factory=list, description="Services that are called as the document says.")
    headers: Values = Field(default_factory=dict, description="Headers of every request that has no others of its own.")
    services: Services = Field(default_factory=dict, description="What services do in every test.")
    tests: list[Case] = Field(min_length=1, description="The tests.")

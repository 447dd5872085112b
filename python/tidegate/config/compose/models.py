"""The models of a composed answer, which are also the Python form."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

from tidegate.config.base import Model, problem
from tidegate.config.calling import RetriesOrNumber
from tidegate.config.problem import quote
from tidegate.config.service_reference import ServiceReference
from tidegate.config.sources.json_source import is_deeper
from tidegate.config.values import Duration, Integer, Size, Text, Texts, Truth

MOST_CALLS = 64
MOST_AT_ONCE = 1000
DEEPEST = 512
DEEPEST_SHAPE = 32
_SUCCESS: tuple[int | str, ...] = ("200-299",)
STATUSES = re.compile(r"([1-5][0-9][0-9])-([1-5][0-9][0-9])")


def _data(value: object) -> object:
    """Data that JSON can hold; YAML brings nothing else, Python might."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise problem("wrong_type", f"expected data that JSON can hold, got {quote(value)}") from None
    if is_deeper(value, DEEPEST_SHAPE):
        raise problem("bad_value", f"nested more than {DEEPEST_SHAPE} levels deep")
    return value


def _statuses(value: object) -> object:
    """Statuses and ranges of them; a single one may stand for a list."""
    values = value if isinstance(value, list) else [value]
    if not values:
        raise problem("bad_value", "expected at least one status, or a range such as `200-299`")
    for entry in values:
        single = isinstance(entry, int) and not isinstance(entry, bool) and 200 <= entry <= 599
        match = STATUSES.fullmatch(entry) if isinstance(entry, str) else None
        if not single and (match is None or not 200 <= int(match[1]) <= int(match[2]) <= 599):
            hint = "write `200-299`" if str(entry).lower() == "2xx" else None
            message = f"expected a status from 200 to 599 or a range such as `200-299`, got {quote(entry)}"
            raise problem("bad_value", message, hint)
    return values


def _when(value: object) -> object:
    """A mapping of references to conditions, or the text of an expression."""
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, dict) and value:
        for wanted in value.values():
            wanted_list = wanted if isinstance(wanted, list) else [wanted]
            if not isinstance(wanted, bool) and not (wanted_list and all(isinstance(one, str) for one in wanted_list)):
                message = f"expected text, a list of texts, `true` or `false`, got {quote(wanted)}"
                hint = f'write `"{quote(wanted).strip("`")}"`' if isinstance(wanted, int | float) else None
                raise problem("wrong_type", message, hint)
        return value
    if value in ({}, ""):
        raise problem("bad_value", "must not be empty")
    message = f"expected a mapping of references to conditions, or a CEL expression, got {quote(value)}"
    raise problem("wrong_type", message, 'write `{"{header.x-client}": mobile}`')


if TYPE_CHECKING:
    Data: TypeAlias = Any
    Statuses: TypeAlias = int | str | list[int | str]
    When: TypeAlias = dict[str, str | list[str] | bool] | str
else:
    Data = Annotated[Any, BeforeValidator(_data)]
    Statuses = Annotated[
        list[int | str],
        BeforeValidator(_statuses),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "integer", "minimum": 200, "maximum": 599},
                    {"type": "string", "pattern": "^[2-5][0-9][0-9]-[2-5][0-9][0-9]$"},
                    {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "string"}]}},
                ],
                "title": "status, range or list of them",
            }
        ),
    ]
    _CONDITION = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "boolean"}]}
    When = Annotated[
        Any,
        BeforeValidator(_when),
        WithJsonSchema(
            {
                "anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": _CONDITION}],
                "title": "mapping of reference to condition, or a CEL expression",
            }
        ),
    ]


class Call(Model):
    """One request to a service, made for a composed answer.

    It begins as soon as the calls that it refers to have answered; calls that refer to none begin at once.
    """

    service: ServiceReference = Field(description="Name of the service.")
    method: Text = Field("GET", description="Method.")
    path: Text = Field(
        description="Path at the service, such as `/orders/{path.order_id}`. What a reference brings is one segment or "
        "a part of one, whatever it holds; without a value the call fails with `missing_field`."
    )
    query: dict[str, Text] = Field(
        default_factory=dict,
        description="Query parameters. One that is nothing but a reference is left out where that has no value, and "
        "stands once for each entry where it is a list.",
    )
    headers: dict[str, Text] = Field(default_factory=dict, description="Headers of the request.")
    forward_headers: Texts = Field(
        default_factory=list, description="Headers of the client that go along, beside those of `compose`."
    )
    body: Data = Field(None, description="A template of JSON for the body of the request, written as `response` is.")
    timeout: Duration | None = Field(
        None, description="Time for this call, retries included. It never gets more than is left of `compose.timeout`."
    )
    when: When | None = Field(
        None,
        description="The call is made only if this holds; else its value is `default` or null. May name earlier calls.",
    )
    for_each: Text | None = Field(
        None,
        description="A reference to a list. The call is made for each entry, `{item}`, and its value is the list of "
        "the answers in the same order.",
    )
    concurrency: Integer = Field(
        8, ge=1, le=MOST_AT_ONCE, description="With `for_each`: so many of its requests are under way at once."
    )
    distinct: Truth = Field(
        True, description="With `for_each`: equal requests are sent once. Holds for GET and HEAD only."
    )
    optional: Truth = Field(
        False, description="The answer does without it: where it fails, its value is `default` or null."
    )
    default: Data = Field(None, description="Its value where it fails or is not made. Makes it optional.")
    fallback: Text | None = Field(
        None, description="Name of another call, which is made only if this one fails, and whose value takes its place."
    )
    on_error: Literal["fail", "pass"] = Field(
        "fail",
        description="What a client gets where a required call fails. `fail`: 502, or 504 where it was too late. "
        "`pass`: the service's own status where that is from 400 to 499.",
    )
    expect: Statuses = Field(
        default_factory=lambda: list(_SUCCESS), description="Statuses that count as success: numbers and ranges."
    )
    cache_for: Literal["request"] | None = Field(
        None, description="`request`: calls of one answer whose requests are equal share one. GET and HEAD only."
    )
    retries: RetriesOrNumber | None = Field(None, description="Instead of the service's `retries`.")


class View(Model):
    """Another shape of the answer, for some clients. Only the calls that it needs are made."""

    when: When = Field(description="It is taken if this holds, and no view before it was. Names the request only.")
    response: Data = Field(description="A template of JSON, as the `response` of `compose`.")


class Compose(Model):
    """Makes one answer of the answers of several services."""

    timeout: Duration = Field(10_000, description="Time for all calls and the answer together.")
    forward_headers: Texts = Field(
        default_factory=list, description="Headers of the client that go along with every call. By default none."
    )
    calls: dict[str, Call] = Field(min_length=1, description=f"The calls, by name; at most {MOST_CALLS}.")
    response: Data = Field(
        description="A template of JSON: constants, references such as `{order.total}`, and objects with `$from`, "
        "`$first`, `$for_each` or `$cel`."
    )
    views: dict[str, View] = Field(
        default_factory=dict, description="Other shapes; of those, the first whose `when` holds is the answer."
    )
    fields: Truth = Field(
        False,
        description="Clients may ask for some members only: `?fields=order.id,user`. What is not needed for them "
        "is not called.",
    )
    errors: Truth = Field(False, description="Add the member `errors` to an answer that is an object and lacks a part.")
    server_timing: Truth = Field(
        False, description="Set `Server-Timing` with the time of each call, which tells clients the names of calls."
    )
    max_calls: Integer = Field(
        32, ge=1, le=10_000, description="Most requests for one answer; each entry of a `for_each` is one."
    )
    max_answer: Size = Field(1 << 20, ge=1, le=1 << 30, description="Longest body of one call's answer.")
    max_depth: Integer = Field(64, ge=1, le=DEEPEST, description="Deepest nesting of one call's answer.")

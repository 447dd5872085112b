"""Handlers whose signature says what they take: parameters from path, query, headers, cookies and body.

What a signature means is found out once, when the handler is loaded; a handler that takes nothing but its request is
called as it is.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import inspect
import sys
import types
import typing
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import PydanticUndefinedAnnotation, PydanticUserError, TypeAdapter, ValidationError

from tidegate.config.problem import did_you_mean, quote
from tidegate.errors import BadContent, InvalidRequest
from tidegate.extend.kind import Kind
from tidegate.extend.parameters import Body, Cookie, Header, Path, Query
from tidegate.extend.request import Request

MOST_ERRORS = 32
"""Mismatches that are told of one request."""

_SCALARS = (
    str,
    int,
    float,
    bool,
    bytes,
    decimal.Decimal,
    uuid.UUID,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    enum.Enum,
)
_PLACES: dict[type, str] = {Path: "path", Query: "query", Header: "header", Cookie: "cookie", Body: "body"}
_LISTS = (list, set, frozenset, tuple, Sequence)
_JSON = ("application/json", "text/json")


class BadSignature(Exception):  # noqa: N818
    """A signature that cannot be met; `problems` are messages and hints."""

    def __init__(self, problems: Sequence[tuple[str, str | None]]) -> None:
        super().__init__(problems)
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter, and how its value is found."""

    name: str
    place: str
    """`path`, `query`, `header`, `cookie`, `body`, or `any`: the path where it captures that name, else the query."""
    key: str
    """The name there."""
    many: bool
    """Every value of the name, as a list."""
    required: bool
    read: Callable[[Any], Any]
    """Makes a value of what was found; raises `ValidationError` or the like."""


class Typed:
    """What a handler takes, by its signature."""

    def __init__(self, parameters: Sequence[Parameter], request: str | None, body: Parameter | None) -> None:
        self._parameters = parameters
        self._request = request
        self._body = body

    def problems(self, captures: frozenset[str]) -> list[tuple[str, str | None]]:
        """What a route that captures these cannot give."""
        return [
            (f"no path of this route captures `{one.key}`, which `{one.name}` is to come from", hint)
            for one in self._parameters
            if one.place == "path" and one.key not in captures
            for hint in (did_you_mean(one.key, captures),)
        ]

    def around(self, function: Callable[..., Any], kind: Kind) -> Callable[..., Any]:
        """The function as it is called for every handler: with the request alone."""
        if kind is Kind.STREAM:

            async def stream(request: Request) -> Any:
                body = b"" if self._body is None else await request.body()
                async with aclosing(function(**self._arguments(request, body))) as pieces:
                    async for piece in pieces:
                        yield piece

            return stream
        if kind is Kind.COROUTINE:

            async def answer(request: Request) -> Any:
                body = b"" if self._body is None else await request.body()
                return await function(**self._arguments(request, body))

            return answer

        def plain(request: Request) -> Any:
            body = b"" if self._body is None else request.read()
            return function(**self._arguments(request, body))

        return plain

    def _arguments(self, request: Request, body: bytes) -> dict[str, Any]:
        arguments: dict[str, Any] = {} if self._request is None else {self._request: request}
        errors: list[dict[str, str]] = []
        for one in self._parameters:
            place, found = _find(one, request)
            if found is None:
                if one.required:
                    errors.append({"in": place, "name": one.key, "message": "it is missing"})
                continue
            _read(one, place, found, arguments, errors)
        taken = self._body
        if taken is not None and (body or taken.required):
            if taken.read not in (_as_it_is, _text) and (error := _not_json(request)) is not None:
                errors.append(error)
            else:
                _read(taken, "body", body, arguments, errors)
        if errors:
            raise InvalidRequest(errors[:MOST_ERRORS])
        return arguments


def _find(one: Parameter, request: Request) -> tuple[str, Any]:
    """Where a parameter is, and its text or texts there; `None`: nowhere."""
    place = one.place
    if place == "any":
        if (captured := request.params.get(one.key)) is not None:
            return "path", [captured] if one.many else captured
        place = "query"
    if place == "path":
        return place, request.params.get(one.key)
    if place == "cookie":
        return place, request.cookies.get(one.key)
    if one.many:
        fields = request.query if place == "query" else request.headers
        return place, fields.get_all(one.key) or None
    return place, request.query.get(one.key) if place == "query" else request.header(one.key)


def _read(one: Parameter, place: str, found: Any, arguments: dict[str, Any], errors: list[dict[str, str]]) -> None:
    try:
        arguments[one.name] = one.read(found)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        if place == "body" and details[0]["type"] == "json_invalid":
            raise BadContent(f"the body is not JSON: {details[0]['msg']}") from None
        for detail in details[:MOST_ERRORS]:
            name = ".".join(str(part) for part in detail["loc"])
            errors.append({"in": place, "name": name if place == "body" else one.key, "message": detail["msg"]})
    except BadContent:
        raise
    except ValueError as error:  # msgspec's
        errors.append({"in": place, "name": "" if place == "body" else one.key, "message": str(error)})


def _not_json(request: Request) -> dict[str, str] | None:
    """A form of another site can send JSON as text without asking; a body that is said to be JSON it cannot."""
    written = request.header("content-type")
    if written is None:
        return None
    media = written.partition(";")[0].strip().lower()
    if media in _JSON or (media.startswith("application/") and media.endswith("+json")):
        return None
    return {"in": "header", "name": "content-type", "message": "expected `application/json`"}


# ---- what a signature means


def typed(function: Callable[..., Any]) -> Typed | None:
    """What a handler takes; `None` for one that takes its request. Raises `BadSignature`."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    if any(one.kind in variable for one in parameters) and all(
        one.kind in variable or one.annotation is inspect.Parameter.empty for one in parameters
    ):
        return None
    if len(parameters) == 1 and _is_request(parameters[0]):
        return None
    return _Reading(function, parameters).typed()


def _is_request(one: inspect.Parameter) -> bool:
    annotation = one.annotation
    if isinstance(annotation, str):
        return annotation.strip("'\"").rpartition(".")[2] in ("Request", "Any", "object")
    return annotation in (inspect.Parameter.empty, Request, Any, object)


class _Reading:
    def __init__(self, function: Callable[..., Any], parameters: Sequence[inspect.Parameter]) -> None:
        self._parameters = parameters
        self._problems: list[tuple[str, str | None]] = []
        self._hints = self._annotations(function)

    def typed(self) -> Typed:
        request: str | None = None
        body: Parameter | None = None
        others: list[Parameter] = []
        for one in self._parameters if not self._problems else ():
            annotation = self._hints.get(one.name, one.annotation)
            if one.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
                continue
            if one.kind is inspect.Parameter.POSITIONAL_ONLY:
                self._problem(f"parameter `{one.name}` can only be given by position")
            elif annotation is Request or (annotation is inspect.Parameter.empty and one.name == "request"):
                request = one.name
            elif annotation is inspect.Parameter.empty:
                self._problem(f"parameter `{one.name}` has no type", f"write `{one.name}: str`, or what it is")
            elif (made := self._parameter(one, annotation)) is not None:
                if made.place != "body":
                    others.append(made)
                elif body is None:
                    body = made
                else:
                    hint = "put both into one model, or say `Annotated[..., Query()]`"
                    self._problem(f"parameters `{body.name}` and `{made.name}` both take the body", hint)
        if self._problems:
            raise BadSignature(self._problems)
        return Typed(others, request, body)

    def _problem(self, message: str, hint: str | None = None) -> None:
        self._problems.append((message, hint))

    def _annotations(self, function: Callable[..., Any]) -> Mapping[str, Any]:
        bare: Any = inspect.unwrap(function)
        while hasattr(bare, "func"):  # functools.partial
            bare = bare.func
        if not inspect.isroutine(bare):
            bare = type(bare).__call__
        try:
            return typing.get_type_hints(bare, include_extras=True)
        except Exception as error:  # whatever evaluating an annotation raises
            hint = "names in annotations must be importable from the module, also when it runs"
            self._problem(f"its annotations cannot be read: {error}", hint)
            return {}

    def _parameter(self, one: inspect.Parameter, annotation: Any) -> Parameter | None:
        marks = [mark for mark in getattr(annotation, "__metadata__", ()) if _is_mark(mark)]
        if len(marks) > 1:
            self._problem(f"parameter `{one.name}` comes from more than one place")
            return None
        mark = marks[0]() if marks and isinstance(marks[0], type) else next(iter(marks), None)
        bare = _bare(annotation)
        many = _is_list(bare)
        place = _PLACES.get(type(mark))
        if place is None:
            place = "any" if many or _is_scalar(bare) else "body"
        key = one.name if mark is None or mark.name is None else mark.name
        if place == "header":
            key = (key if mark is not None and mark.name else key.replace("_", "-")).lower()
        required = one.default in (inspect.Parameter.empty, ...)
        of_body = place == "body"
        read = self._body_reader(one.name, annotation, bare) if of_body else self._reader(one.name, annotation)
        if read is None:
            return None
        return Parameter(one.name, place, key, many and place != "cookie", required, read)

    def _reader(self, name: str, annotation: Any) -> Callable[[Any], Any] | None:
        if _bare(annotation) is str and all(_is_mark(mark) for mark in getattr(annotation, "__metadata__", ())):
            return str
        adapter = self._adapter(name, annotation)
        return None if adapter is None else adapter.validate_python

    def _body_reader(self, name: str, annotation: Any, bare: Any) -> Callable[[Any], Any] | None:
        if bare is bytes:
            return _as_it_is
        if bare is str:
            return _text
        if (decoder := _msgspec(bare)) is not None:
            return decoder
        adapter = self._adapter(name, annotation)
        return None if adapter is None else adapter.validate_json

    def _adapter(self, name: str, annotation: Any) -> TypeAdapter[Any] | None:
        try:
            return TypeAdapter(annotation)
        except (PydanticUserError, PydanticUndefinedAnnotation) as error:
            reason = str(error).partition(".")[0].partition("\n")[0]
            self._problem(
                f"parameter `{name}`: {quote(_shown(annotation))} is no type that values can be read as", reason
            )
            return None


def _is_mark(mark: object) -> bool:
    kinds = (Path, Query, Header, Cookie, Body)
    return isinstance(mark, kinds) or mark in kinds


def _bare(annotation: Any) -> Any:
    """A type without what is said about it."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif hasattr(annotation, "__value__") and not isinstance(annotation, type):
            annotation = annotation.__value__
        else:
            return annotation


def _is_scalar(annotation: Any) -> bool:
    annotation = _bare(annotation)
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return all(one is type(None) or _is_scalar(one) for one in get_args(annotation))
    if origin is Literal or annotation is Any:
        return True
    return isinstance(annotation, type) and origin is None and issubclass(annotation, _SCALARS)


def _is_list(annotation: Any) -> bool:
    """A list of scalars, which a name that is repeated gives."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        some = [_bare(one) for one in get_args(annotation) if one is not type(None)]
        return len(some) == 1 and _is_list(some[0])
    inner = [one for one in get_args(annotation) if one is not Ellipsis]
    return origin in _LISTS and bool(inner) and all(_is_scalar(one) for one in inner)


def _msgspec(annotation: Any) -> Callable[[Any], Any] | None:
    """Reads bodies for structs of msgspec, where it is used."""
    msgspec = sys.modules.get("msgspec")
    if msgspec is None:
        return None
    names: Iterable[Any] = (annotation, *get_args(annotation))
    if not any(isinstance(one, type) and issubclass(one, msgspec.Struct) for one in names):
        return None
    decoder = msgspec.json.Decoder(annotation)

    def read(body: bytes) -> Any:
        try:
            return decoder.decode(body)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError as error:
            raise BadContent(f"the body is not JSON: {error}") from None

    return read


def _as_it_is(body: bytes) -> bytes:
    return body


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise BadContent(f"the body is not UTF-8: byte {error.start} begins no character") from None


def _shown(annotation: Any) -> str:
    return getattr(annotation, "__name__", None) or str(annotation)

"""Handlers whose signatures say what they take, for the tests."""

from __future__ import annotations

import datetime
import enum
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import pydantic
from pydantic import BaseModel
from tidegate import Body, Cookie, Header, InvalidRequest, Path, Query, Request, Response


class Item(BaseModel):
    sku: str
    quantity: int = pydantic.Field(ge=1)


class OrderIn(BaseModel):
    items: list[Item]
    note: str | None = None


class OrderOut(BaseModel):
    id: int
    total: int
    at: datetime.date


class Point(msgspec.Struct):
    x: int
    y: int = 0


@dataclass
class Size:
    width: int
    height: int


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


async def get_order(
    order_id: int, expand: bool = False, user: Annotated[str, Header("x-user-id")] = "nobody"
) -> dict[str, Any]:
    return {"order_id": order_id, "expand": expand, "user": user}


async def create(order_id: int, body: OrderIn) -> OrderOut:
    return OrderOut(id=order_id, total=sum(item.quantity for item in body.items), at=datetime.date(2026, 1, 2))


async def everything(
    request: Request,
    tag: list[str],
    colour: Colour,
    at: datetime.datetime,
    key: uuid.UUID,
    sort: Literal["up", "down"] = "up",
    page: Annotated[int, Query("p"), pydantic.Field(ge=1)] = 1,
    x_thing: Annotated[str | None, Header] = None,
    things: Annotated[list[str], Header("x-things")] = [],  # noqa: B006
    session: Annotated[str, Cookie("sid")] = "",
) -> list[Any]:
    return [request.path, tag, colour, at, key, sort, page, x_thing, things, session]


async def struct(point: Point) -> Point:
    return Point(point.x + 1, point.y + 1)


async def structs(points: list[Point]) -> dict[str, Any]:
    return {"points": [Point(point.y, point.x) for point in points]}


def plain(order_id: Annotated[int, Path()], size: Size) -> Size:
    return Size(size.height * order_id, size.width)


async def stream(count: int) -> AsyncIterator[str]:
    for number in range(count):
        yield f"{number};"


async def raw(data: Annotated[bytes, Body()]) -> bytes:
    return data


async def text(words: Annotated[str, Body()] = "nothing") -> str:
    return words


async def none() -> str:
    return "takes nothing"


async def refuses(_: Request) -> Response:
    raise InvalidRequest([{"in": "query", "name": "x", "message": "I do not like it"}])


async def with_options(*arguments: Any, **options: Any) -> str:
    return type(arguments[0]).__name__


# ---- signatures that cannot be met


async def two_bodies(one: OrderIn, other: Size) -> str: ...  # type: ignore[empty-body]


async def no_type(order_id, request: Request) -> str: ...  # type: ignore[no-untyped-def,empty-body]


async def not_captured(order_idd: Annotated[int, Path()]) -> str: ...  # type: ignore[empty-body]


async def no_such_type(thing: Annotated[object, Query()], other: Annotated[Any, NotImported]) -> str: ...  # type: ignore # noqa: F821


class Opaque:
    pass


async def opaque(thing: Opaque) -> str: ...  # type: ignore[empty-body]

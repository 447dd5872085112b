"""Code of the shop that runs inside the gateway."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from tidegate import Request, Response

DELIVERY = Decimal("4.90")
FREE_FROM = Decimal(50)


async def quote(request: Request) -> Response | dict[str, object]:
    """What an order would cost: `{"items": [{"price": 12.5, "quantity": 2}]}`."""
    try:
        items = (await request.json())["items"]
        goods = sum((Decimal(str(item["price"])) * int(item["quantity"]) for item in items), Decimal(0))
    except (ValueError, KeyError, TypeError, ArithmeticError):
        return Response(422, {"error": "expected items with a price and a quantity"})
    delivery = Decimal(0) if goods >= FREE_FROM else DELIVERY
    return {"goods": _euros(goods), "delivery": _euros(delivery), "total": _euros(goods + delivery)}


def _euros(amount: Decimal) -> str:
    return str(amount.quantize(Decimal("0.01"), ROUND_HALF_UP))

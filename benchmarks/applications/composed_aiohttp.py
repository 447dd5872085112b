"""aiohttp as server and client, on uvloop: one session for the life of the application, calls gathered.

python composed_aiohttp.py PORT UPSTREAM
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import aiohttp
import uvloop
from aiohttp import web

SESSION = web.AppKey("session", aiohttp.ClientSession)


async def _get(session: aiohttp.ClientSession, path: str) -> Any:
    async with session.get(path) as answer:
        if answer.status != 200:
            raise web.HTTPBadGateway
        return await answer.json()


async def order_details(request: web.Request) -> web.Response:
    """One order with all that belongs to it."""
    session, order_id = request.app[SESSION], request.match_info["order_id"]
    order = await _get(session, f"/orders/{quote(order_id, safe='')}")
    user, shipment, *products = await asyncio.gather(
        _get(session, f"/users/{quote(order['userId'], safe='')}"),
        _get(session, f"/shipments/{quote(order_id, safe='')}"),
        *(_get(session, f"/products/{quote(product, safe='')}") for product in order["productIds"]),
    )
    return web.json_response({"order": order, "user": user, "products": products, "shipment": shipment})


def main() -> None:
    """Serves until it is told to stop."""
    port, upstream = sys.argv[1:]

    async def session_of(app: web.Application) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=256)
        async with aiohttp.ClientSession(f"http://{upstream}", connector=connector) as session:
            app[SESSION] = session
            yield

    app = web.Application()
    app.cleanup_ctx.append(session_of)
    app.router.add_get("/api/v1/order-details/{order_id}", order_details)
    loop = uvloop.new_event_loop()
    web.run_app(app, host="127.0.0.1", port=int(port), access_log=None, print=lambda *_: None, loop=loop)


if __name__ == "__main__":
    main()

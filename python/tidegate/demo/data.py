"""What the services of the shop know."""

from __future__ import annotations

from typing import Any

USERS: dict[str, dict[str, Any]] = {
    "ada": {"id": "ada", "name": "Ada Lovelace", "email": "ada@shop.example", "city": "London"},
    "grace": {"id": "grace", "name": "Grace Hopper", "email": "grace@shop.example", "city": "Arlington"},
    "edsger": {"id": "edsger", "name": "Edsger Dijkstra", "email": "edsger@shop.example", "city": "Nuenen"},
}

PRODUCTS: dict[str, dict[str, Any]] = {
    "kettle": {"id": "kettle", "name": "Whistling kettle", "category": "kitchen", "price": 34.5, "stock": 12},
    "teapot": {"id": "teapot", "name": "Short and stout teapot", "category": "kitchen", "price": 24.0, "stock": 3},
    "lamp": {"id": "lamp", "name": "Brass desk lamp", "category": "study", "price": 59.0, "stock": 7},
    "notebook": {"id": "notebook", "name": "Squared notebook", "category": "study", "price": 6.8, "stock": 240},
    "chronometer": {"id": "chronometer", "name": "Marine chronometer", "category": "deck", "price": 890.0, "stock": 1},
    "tide-table": {"id": "tide-table", "name": "Tide table 2027", "category": "deck", "price": 12.9, "stock": 51},
}

ORDERS: dict[str, dict[str, Any]] = {
    "1001": {
        "id": "1001",
        "userId": "ada",
        "items": [{"productId": "lamp", "quantity": 1}, {"productId": "notebook", "quantity": 3}],
        "total": 79.4,
        "status": "shipped",
    },
    "1002": {
        "id": "1002",
        "userId": "grace",
        "items": [{"productId": "tide-table", "quantity": 2}],
        "total": 25.8,
        "status": "paid",
    },
    "1003": {
        "id": "1003",
        "userId": "ada",
        "items": [{"productId": "chronometer", "quantity": 1}],
        "total": 890.0,
        "status": "delivered",
    },
}

SHIPMENTS: dict[str, dict[str, Any]] = {
    "1001": {"orderId": "1001", "carrier": "Harbour Post", "status": "under way", "position": "Rotterdam"},
    "1003": {"orderId": "1003", "carrier": "Harbour Post", "status": "delivered", "position": "London"},
}

TRACKING: dict[str, list[str]] = {
    "1001": ["packed in Hamburg", "loaded on the Tidewater", "under way off Rotterdam"],
    "1003": ["packed in Hamburg", "loaded on the Ebb", "landed in London", "handed over"],
}

"""The small JSON that both applications make, anew for each request."""


def order(path: str) -> dict[str, object]:
    """What an order service would say."""
    return {"id": 42, "path": path, "status": "paid", "total": 19.95, "items": ["mug", "lamp"]}

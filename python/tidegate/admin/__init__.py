"""The listener for operators: health, metrics, the running document."""

from tidegate.admin.server import AdminServer

__all__ = ["AdminServer"]

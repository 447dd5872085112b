"""The Python code that answers in the scenarios about Python: the same answer, once for ASGI and once for Tidegate."""

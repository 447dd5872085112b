"""ASGI 3 applications in process: what a server is to them (https://asgi.readthedocs.io/en/latest/specs/).

apps       the applications that serve       lifespan   their start and their end
http       one request of an application     messages   what they send and receive
websocket  one WebSocket of an application
"""

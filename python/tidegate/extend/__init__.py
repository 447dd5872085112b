"""User code in the path: handlers.

request    what a handler is given            response   what it may return
handlers   the functions that routes name     runner     where and how they run
typed      what their signatures say          parameters where a parameter comes from
kind       how a function is called
answer     what they returned, as an answer   multi      fields that may come more than once
events     what functions are told of
plugins    classes whose hooks act around an answer
calls      calls of handlers to services      current    the request that code runs for
compose    answers put together from several awaitables
websocket  WebSockets of handlers          conversation   messages over the bytes of a job
asgi       applications
loop_thread   an event loop on a thread of its own
"""

from tidegate.extend.calls import CallResponse, StreamedResponse
from tidegate.extend.compose import Composition, optional
from tidegate.extend.current import call, call_blocking, current_request, stream_call
from tidegate.extend.events import BreakerEvent
from tidegate.extend.parameters import Body, Cookie, Header, Path, Query
from tidegate.extend.plugins import Outcome, PluginRequest, PluginResponse
from tidegate.extend.request import Request
from tidegate.extend.response import Response
from tidegate.extend.websocket import WebSocket

__all__ = [
    "Body",
    "BreakerEvent",
    "CallResponse",
    "Composition",
    "Cookie",
    "Header",
    "Outcome",
    "Path",
    "PluginRequest",
    "PluginResponse",
    "Query",
    "Request",
    "Response",
    "StreamedResponse",
    "WebSocket",
    "call",
    "call_blocking",
    "current_request",
    "optional",
    "stream_call",
]

"""The engine, as Python sees it. Nothing here is public: `tidegate.serve` and `tidegate.extend` are."""

import asyncio
from collections.abc import Callable, Coroutine, Generator, Iterable, Sequence
from contextvars import Context
from types import TracebackType
from typing import Any, Literal

from tidegate.extend.calls import CallResponse, Fields

__version__: str

def compile_plan(plan: bytes) -> list[tuple[str, str, str]]:
    """Compiles a plan and serves nothing; path in the plan, code and message of everything that is wrong with it.

    Raises `PlanError` when it cannot even be decoded.
    """

def explain(plan: bytes, method: str, url: str, headers: Sequence[tuple[str, str]], client: str) -> str:
    """What would happen to one request, as JSON; `ValueError` for what is no request."""

def route_table(plan: bytes) -> str:
    """The routes in the order of precedence, as JSON."""

def limits_trace(
    limits: Sequence[tuple[str, int, int, int, int]], arrivals: Sequence[tuple[int, int, bool]]
) -> list[list[tuple[bool, bool, int | None, int, int]]]:
    """Runs arrivals of one key through limits that are checked together, for tests; all times are microseconds.

    Limits: algorithm, amount, window, burst, longest delay. Arrivals: time, cost, and whether the arrival before is
    given back. Of each arrival and limit: passed, charged, the wait (`None`: for ever), what remains, and when all is
    back.
    """

def make_signing_key(algorithm: str) -> str:
    """A new private key in PEM, for `ES256` or `EdDSA`; `ValueError` for any other algorithm."""

def signing_key_name(pem: str) -> str:
    """The name (`kid`) of a private key in PEM; `ValueError` for what is none."""

def hash_password(password: str) -> str:
    """A new argon2id hash as a PHC string; takes some 20 ms."""

class Engine:
    """A running engine. Every call may come from any thread; those that wait do so without the interpreter's lock."""

    def __init__(
        self,
        plan: bytes,
        *,
        workers: int,
        bridge: Bridge | None = None,
        handlers: Sequence[int] = (),
        exclusive: bool = False,
        signing_keys: Sequence[tuple[str, Sequence[tuple[str, int, int]]]] = (),
    ) -> None:
        """Starts; raises `CompileError` or `ListenError`.

        `handlers` gives each handler number of the plan the number it has in this process. `exclusive`: no other
        process may listen on the same addresses. `signing_keys`: as for `put_signing_keys`, by name.
        """
    def reload(self, plan: bytes, handlers: Sequence[int] = ()) -> None:
        """Builds everything anew and swaps it as one; an error means that nothing has changed."""
    def set_targets(self, service: str, targets: bytes | None) -> bool:
        """Puts others (JSON, as in the plan) in place of the targets of a service; `None`: what the document says.

        False when there is no such service.
        """
    def services(self) -> list[tuple[str, bool, list[tuple[str, int, int, Literal["one", "each", "srv"]]]]]:
        """Name, whether it is spoken to over TLS, and targets (address, weight, priority, resolve) of each service."""
    def listeners(self) -> list[tuple[str, str, bool, tuple[str, int] | None]]:
        """Name, address as the plan has it, whether it speaks TLS, and the bound host and port (UNIX sockets: none)."""
    def put_signing_keys(self, name: str, keys: Sequence[tuple[str, int, int]]) -> None:
        """Puts kept keys in the place of those of that name: PEM, and the Unix seconds from which each signs and until
        which it is published. `ValueError` for what is no key.
        """
    def refused(self) -> None:
        """Counts a document that did not come as far as `reload`."""
    def put_keys(
        self,
        entries: Sequence[tuple[str, str, str, str, str | None, list[str], int | None, bool]],
        *,
        whole: bool,
    ) -> None:
        """Adds keys of the store, to the table or to the whole load, in place of those with the same hash.

        An entry is hash, id, name, consumer, its tier and tags, expiry in Unix seconds, and whether it was revoked.
        `ValueError` for a hash that is none.
        """
    def begin_whole_load(self) -> None:
        """Begins a load of the whole store, beside the table that serves."""
    def end_whole_load(self) -> None:
        """Puts what was loaded in place of the table; from now on unknown keys are refused."""
    def forget_keys(self) -> None:
        """Drops all keys, as if the store had never been read."""
    def count_keys(self) -> int:
        """How many keys of the store are known, of any state."""
    def key_store_answers(self, answers: bool) -> None:
        """For the metrics: whether the store could be reached."""
    def drain(self, timeout_ms: int) -> bool:
        """Stops accepting and waits for what is open; true when all of it finished in time."""
    def stop(self) -> None:
        """Ends everything at once and waits for the threads."""
    def metrics(self, accept: str = "") -> tuple[str, str]:
        """What was counted, as content type and text, in the form that suits an `Accept` header."""
    def key_sources(self) -> list[tuple[int, str]]:
        """Number and settings (JSON) of every place that keys are fetched from."""
    def key_wishes_descriptor(self) -> int:
        """Readable while requests wait for keys that are not there."""
    def key_wishes(self) -> list[int]:
        """The sources whose keys requests wait for; takes them off the list."""
    def keys_arrived(self, source: int, jwks: bytes) -> tuple[int, list[str]]:
        """Gives a source its keys; how many can be used, and why the others cannot. `ValueError`: no key set."""
    def provider_described(self, source: int, document: bytes) -> None:
        """Gives a source the discovery document that its keys were found by."""
    def keys_failed(self, source: int) -> None:
        """Says that a source could not be fetched; its keys hold as long as they may."""
    def breakers(self) -> list[tuple[str, str, int]]:
        """Name and state of every circuit breaker, and how many more milliseconds it is open."""

    def force_breaker(self, name: str, is_open: bool | None) -> bool:
        """Forces breakers of that name open or closed; `None` leaves them to themselves. False when there is none."""

    def breaker_news_descriptor(self) -> int:
        """Readable while there are changes of breakers that functions are to be told of."""

    def breaker_news(self) -> list[tuple[int, str, str, str, str, int]]:
        """The changes: number of the function, breaker, state before, state, reason, milliseconds it is open."""

    def keys_missing(self) -> list[str]:
        """URLs of sources that are not lazy and whose keys never came: until then, the gateway is not ready."""
    def counts_quotas(self) -> bool:
        """Whether some quota is counted here and not in Redis."""
    def take_quota_changes(self) -> list[tuple[str, int, int, int]]:
        """What was used and is not written yet: key, begin and end of the period, amount.

        Whoever takes it writes it, or puts it back.
        """
    def put_back_quota_changes(self, changes: Sequence[tuple[str, int, int, int]]) -> None:
        """What could not be written."""
    def settle_quotas(self, totals: Sequence[tuple[str, int, int, int]]) -> None:
        """Totals as the store has them."""
    def health(self) -> str:
        """The services with their targets and what is known of these, as JSON."""
    def inject_delay(self, milliseconds: int) -> None:
        """Lets every worker seem so late, beside what it is; for tests."""
    def quota_totals_came(self, known: bool) -> None:
        """The store was read, or could not be: requests that wait for it are decided."""
    def expect_quota_totals(self) -> None:
        """Another store is to be read: requests wait for it a little."""
    def awaits_quota_totals(self) -> bool:
        """Whether some quota is counted here, and the store was neither read nor could not be."""
    def sweep_quotas(self) -> None:
        """Lets go of quotas in memory whose period is over."""
    def canaries(self) -> str:
        """Where the canaries are, as JSON."""
    def command_canary(self, route: str, command: str) -> bool | None:
        """Does something to the canary of a route; `None`: it has none. False: that means nothing now."""
    def advance(self, milliseconds: int) -> None:
        """Moves the clock forward and rings what is due; for tests."""

class Bridge:
    """The queue of handler jobs: coroutines for one event loop, plain functions for threads."""

    def __init__(self, limit: int) -> None:
        """`limit`: jobs that may wait for the loop, and as many for the threads."""
    def fileno(self) -> int:
        """Readable when the loop sleeps and something waits for it."""
    def set_blocking(self, handler: int) -> None:
        """Says that a handler is a plain function, which runs on a thread."""
    def set_loop(self, event_loop: asyncio.AbstractEventLoop) -> None:
        """The loop that drains the queue, on which calls are awaited."""
    def call(
        self,
        job: Job,
        service: str,
        method: str,
        path: str,
        params: Fields | None,
        query: Fields | None,
        headers: Fields | None,
        content_type: str | None,
        forward: list[str] | None,
        body: bytes | None,
        timeout: float | None,
        most_bytes: int,
        streams: bool,
        /,
    ) -> Call:
        """Calls a service for the exchange of a job; `body`: `None` for one that is streamed. See `Request.call`.

        Raises `ValueError` for what must not be sent.
        """
    def drain(self, most: int, woken: bool) -> tuple[list[Job], list[tuple[int, int]], list[Call]]:
        """Jobs, events as kind and number (0 readable, 1 writable, 2 gone), and calls to be woken.

        Who got something must call again before sleeping. `woken`: `fileno()` was readable.
        """
    def take_blocking(self) -> Job | None:
        """Waits for a job of a plain function; `None` once the queue is closed."""
    def close(self) -> None:
        """Lets every waiting thread go."""

class Job:
    """One request on its way through a handler."""

    @property
    def number(self) -> int:
        """Unique in the process."""
    @property
    def handler(self) -> int:
        """The handler's number in this process."""
    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str:
        """The normal form."""
    @property
    def query(self) -> str:
        """As sent, without the `?`."""
    @property
    def authority(self) -> str: ...
    @property
    def scheme(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def client(self) -> str:
        """The client's IP address; `unix:` on a UNIX socket."""
    @property
    def request_id(self) -> str: ...
    @property
    def route(self) -> str: ...
    @property
    def websocket(self) -> bool:
        """It asks to switch to WebSocket."""
    def scope(self, template: dict[str, Any]) -> dict[str, Any]:
        """The scope for an ASGI application: a copy of `template` with what this request brings."""
    @property
    def gone(self) -> bool:
        """Nobody wants the answer any more."""
    @property
    def instead_of(self) -> str | None:
        """As a fallback: what happened to the call."""

    def go_on(self, status: int | None, fields: Sequence[tuple[str, str | None, bool]]) -> bool:
        """As a hook: the exchange goes on, with changes of fields (`None` removes, true adds). Raises `ValueError`."""
    @property
    def given_status(self) -> int | None:
        """As a hook: the status of the answer, once there is one."""
    @property
    def given_duration(self) -> int:
        """As a hook at the end of the exchange: microseconds that it took."""
    @property
    def given_code(self) -> str | None:
        """As a hook at the end of the exchange: why the gateway answered itself."""
    def given_header(self, name: str) -> str | None:
        """The first value of a header of the answer."""
    def given_headers(self) -> list[tuple[str, str]]:
        """Every header of the answer in order, names in lower case."""
    def params(self) -> dict[str, str]:
        """What the route captured from the path, decoded."""
    def header(self, name: str) -> str | None:
        """The first value of a header."""
    def headers(self) -> list[tuple[str, str]]:
        """Every header in order, names in lower case."""
    def take_body(self) -> bytes | None:
        """The whole body when all of it is there."""
    def read(self) -> bytes | None:
        """The next piece of the body, empty at the end; `None`: nothing yet, event 0 follows. Raises `ClientGone`."""
    def read_blocking(self) -> bytes:
        """The next piece of the body, empty at the end; waits for it. Raises `ClientGone`."""
    def answer(
        self, status: int, content_type: str | None, fields: Sequence[tuple[str, str]] | None, body: bytes
    ) -> bool:
        """Answers as a whole; false when nobody wants it. Raises `ValueError` for what must not be sent."""
    def start(self, status: int, content_type: str | None, fields: Sequence[tuple[str, str]] | None) -> bool:
        """Begins a streamed answer."""
    def answer_bytes(self, status: int, fields: Iterable[Any], body: bytes) -> bool:
        """As `answer`, with pairs of bytes; `ValueError` for a `content-length` that is not true."""
    def start_bytes(self, status: int, fields: Iterable[Any]) -> int | None:
        """As `start`, with pairs of bytes; the length of the body that they announce, where it must be kept."""
    def switch(self, fields: Iterable[Any]) -> bool:
        """Switches to WebSocket: from here on `read` and `send` are its bytes. False when nobody wants it any more."""
    def send(self, chunk: bytes) -> bool:
        """Sends a piece; false: wait for event 1 before the next. Raises `ClientGone`."""
    def send_blocking(self, chunk: bytes) -> bool:
        """Sends a piece and waits until there is room for the next. Raises `ClientGone`."""
    def end(self) -> None:
        """Ends a streamed answer."""
    def refuse(self, code: str, detail: str, members: bytes) -> None:
        """As `fail_as`, with members that the document has beside the usual ones: JSON, each with a comma before it."""
    def fail_as(self, code: str, detail: str) -> None:
        """Answers with the problem document of a code; else as `fail`."""
    def bad_content(self, detail: str) -> None:
        """Answers 400: the body is not what the handler reads; else as `fail`."""
    def fail(self, detail: str) -> None:
        """Answers 500, or cuts a streamed answer off. `detail` is for the log."""

class Call(Coroutine[Any, Any, CallResponse]):
    """A call to a service: a future of asyncio and a coroutine in one. It begins when it is made.

    Dropped before anybody awaited it, it is cancelled with a `RuntimeWarning`.
    """

    @property
    def number(self) -> int:
        """Unique in the process, among jobs too."""
    def __await__(self) -> Generator[Any, None, CallResponse]: ...
    def send(self, value: Any, /) -> Any: ...
    def throw(self, kind: Any, value: Any = None, traceback: TracebackType | None = None) -> Any: ...
    def close(self) -> None: ...
    def get_loop(self) -> asyncio.AbstractEventLoop: ...
    def done(self) -> bool: ...
    def cancelled(self) -> bool: ...
    def result(self) -> CallResponse: ...
    def exception(self) -> BaseException | None: ...
    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context | None = None) -> None: ...
    def remove_done_callback(self, callback: Callable[[Any], object], /) -> int: ...
    def cancel(self, msg: Any = None) -> bool: ...
    def abandon(self) -> None:
        """Cancels the request, also when its answer has begun."""
    def wake(self) -> None:
        """Runs whoever waits for it; on the loop, outside of any task."""
    def wait(self) -> CallResponse:
        """Blocks the thread until there is an answer."""
    def read(self) -> bytes | None:
        """The next piece of a streamed answer, empty at the end; `None`: nothing yet, event 0 follows."""
    def send_body(self, chunk: bytes) -> bool | None:
        """A piece of a streamed body; false: wait for event 1 before the next. `None`: nobody takes more."""
    def end_body(self, complete: bool) -> None:
        """Ends a streamed body; not complete, the service can see it."""

class Answer:
    """What a service answered; nothing is converted before it is asked for."""

    @property
    def service(self) -> str: ...
    @property
    def status(self) -> int: ...
    def header(self, name: str) -> str | None:
        """The first value of a header."""
    def headers(self) -> list[tuple[str, str]]:
        """Every header in order, names in lower case."""
    def json_fault(self, most_depth: int) -> Literal["not_json", "too_deep"] | None:
        """Why the body is no JSON, or none that is taken."""
    def body(self) -> bytes:
        """The whole body; empty for one that is streamed."""

"""The exceptions of Tidegate.

TidegateError
├── ConfigError        the document has problems: all of them, with their places
├── CompileError       the engine found problems in a plan; becomes a ConfigError once they have places
├── PlanError          the engine refused a plan; a mistake of ours, not of the document
├── ListenError        an address cannot be listened on
├── StoreError         the store of keys cannot be reached or used
├── BadContent         raised in a handler: the request's body is not the JSON or text it was read as
├── CallFailed         raised in a handler: a call to a service came to nothing
│   ├── CallTimeout          in the time there was
│   ├── ServiceUnavailable   as the service is not called at present
│   ├── ComposeFailed        and an answer cannot be put together without it
│   └── BadAnswer            as the answer is not the JSON or text it was read as
├── UnknownService     raised in a handler: a call to a service that the document does not have
├── InvalidRequest     raised for a handler: the request is not what it takes
├── ClientGone         raised in a handler: nobody wants its answer any more
├── WebSocketClosed    raised in a handler: the WebSocket is over
└── UsageError         a command or a call was used wrongly
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.config.include import Included
    from tidegate.config.loaded import Planned
    from tidegate.config.problem import Problem


class TidegateError(Exception):
    """The root of all exceptions that Tidegate raises on purpose."""


class ConfigError(TidegateError):
    """The document has problems; `problems` holds every one, sorted by file and line.

    `str()` is the report for people, one problem a line with hints below.
    """

    def __init__(
        self,
        problems: Iterable[Problem],
        files: Iterable[Path] = (),
        rest: Callable[[], Planned] | None = None,
        included: Iterable[Included] = (),
    ) -> None:
        """`files`: what was read or looked for on the way; a watcher watches these until the problems are mended.

        `rest` plans what is sound of the document, so that problems can be found there too; see `config/verify.py`.
        `included`: documents that the document includes.
        """
        self.files = tuple(files)
        self.rest = rest
        self.included = tuple(included)
        self.problems: tuple[Problem, ...] = tuple(sorted(problems, key=lambda problem: problem.order()))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class CompileError(TidegateError):
    """The engine found problems in a plan: path in the plan, code and message of each."""

    def __init__(self, found: list[tuple[str, str, str]]) -> None:
        self.found = found
        super().__init__("\n".join(f"{path}: {message}  [{code}]" for path, code, message in found))


class PlanError(TidegateError):
    """The engine cannot decode a plan that we made: the two sides have drifted apart."""


class ListenError(TidegateError):
    """An address cannot be listened on; `str()` is one line with a hint below it."""

    def __init__(self, listener: str, address: str, number: int, reason: str, hint: str | None = None) -> None:
        self.listener = listener
        self.address = address
        self.errno = number
        self.reason = reason
        plain = os.strerror(number).lower() if number else reason
        hint = hint or _LISTEN_HINTS.get(number)
        super().__init__(f"cannot listen on {address}: {plain}" + (f"\n  hint: {hint}" if hint else ""))


_LISTEN_HINTS = {
    errno.EADDRINUSE: "another process has this port: stop it, or choose another `address` under `listeners`",
    errno.EACCES: "ports below 1024 need a privilege (CAP_NET_BIND_SERVICE): choose a higher one",
    errno.EADDRNOTAVAIL: "this machine has no such address: `0.0.0.0` stands for all it has",
}


class StoreError(TidegateError):
    """The store of consumers and keys cannot be reached or used; `str()` never shows a password."""


class ClientGone(TidegateError):  # noqa: N818
    """Nobody wants a handler's answer any more: the client left, or the route's time was over."""


class BadContent(TidegateError, ValueError):  # noqa: N818
    """The body of a request is not the JSON or text that a handler reads it as.

    A handler that lets it pass answers 400 with the code `bad_content`.
    """


class CallFailed(TidegateError):  # noqa: N818
    """A call of a handler to a service came to nothing; a handler that lets it pass answers 502, 503 or 504.

    `service` is its name. `reason` is a word: `timeout`, `open`, `unreachable`, `too_large`, `not_json`, or `status`
    after `raise_for_status`, with the status in `status`. `code` is the stable code of the answer that it becomes.
    """

    def __init__(
        self,
        service: str,
        reason: str,
        *,
        code: str = "call_failed",
        message: str | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message or f"service {service}: {reason}")
        self.service = service
        self.reason = reason
        self.code = code
        self.status = status


class CallTimeout(CallFailed, TimeoutError):  # noqa: N818
    """A service did not answer in the time that there was, of the call or of the request."""


class ServiceUnavailable(CallFailed):
    """A service is not called at present: its circuit is open, its bulkhead is full, or no target may be used."""


class BadAnswer(CallFailed, ValueError):  # noqa: N818
    """The answer of a service is not the JSON or text that a handler reads it as."""


class ComposeFailed(CallFailed):
    """A part of an answer that must be there came to nothing; `part` is its key, empty for the function itself.

    Left uncaught it is 502 `compose_failed` or 504 `compose_timeout`, with the part and the reason in the document.
    """

    def __init__(self, part: str, reason: str, status: int | None = None) -> None:
        code = "compose_timeout" if reason == "timeout" else "compose_failed"
        super().__init__("", reason, code=code, message=f"part {part or '(function)'}: {reason}", status=status)
        self.part = part


class UnknownService(TidegateError, LookupError):  # noqa: N818
    """A handler calls a service that the document does not have."""

    def __init__(self, service: str, hint: str | None = None) -> None:
        super().__init__(f"no service is named `{service}`" + (f"; {hint}" if hint else ""))
        self.service = service


class InvalidRequest(TidegateError):  # noqa: N818
    """The request is not what a handler takes: 422 with the code `invalid_request`, and `errors` in the document.

    Each error is a mapping with `in` (`path`, `query`, `header`, `cookie`, `body`), `name` and `message`. The signature
    of a typed handler raises it; a handler may, too.
    """

    def __init__(self, errors: Sequence[Mapping[str, str]]) -> None:
        self.errors = [dict(error) for error in errors]
        super().__init__(
            ", ".join(f"{error.get('in')} {error.get('name')}: {error.get('message')}" for error in errors)
        )


class WebSocketClosed(TidegateError):  # noqa: N818
    """A WebSocket is over: `code` (RFC 6455 section 7.4; 1006 where none came) and `reason` say why."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"the WebSocket was closed with code {code}" + (f": {reason}" if reason else ""))
        self.code = code
        self.reason = reason


class UsageError(TidegateError):
    """A command line or a call that cannot be carried out as it was written."""

"""What the process itself has to say: one line an event, on stderr."""

from __future__ import annotations

import logging
import sys
import time


class Lines(logging.Formatter):
    """`2026-01-31T12:00:00.123Z info  reloaded after_ms=3.1`: time, level, a constant message and fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback below it where there is one."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        level = {"warning": "warn", "critical": "error"}.get(record.levelname.lower(), record.levelname.lower())
        line = f"{moment}.{int(record.msecs):03}Z {level:5} {record.getMessage()}"
        return line if not record.exc_info else f"{line}\n{self.formatException(record.exc_info)}"


def log_to_stderr() -> None:
    """Shows the log of Tidegate unless the program has set up logging itself."""
    logger = logging.getLogger("tidegate")
    if logger.handlers or logging.getLogger().handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False

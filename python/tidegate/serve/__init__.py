"""The process: start, reload, drain, stop, signals.

server     one running document: the engine, and the handlers beside it
running    inside the user's own event loop: `async with serve(...)`
process    as a process of its own: `run(...)`
source     what a gateway is made from           watch      tells when its files change
background slow work beside the traffic, on a loop of its own
"""

from tidegate.serve.process import run
from tidegate.serve.running import Running, serve

__all__ = ["Running", "run", "serve"]

"""What tests stand on: a real gateway on a real socket, a service that can misbehave, and bytes to send by hand.

Most of it is `tidegate.testing`; here is what only a gateway's own tests want.

gateway    starts gateways and asks them           upstream   a service that does what a script says
process    `tidegate run` in a process of its own
raw        bytes out, bytes in, with a deadline     poll       waits for a condition, never for a time
"""

from tests.harness.gateway import Answer, RunningGateway, serving, start
from tests.harness.poll import DEADLINE, eventually
from tests.harness.process import GatewayProcess
from tests.harness.raw import Raw
from tests.harness.upstream import Connection, FakeUpstream, Recorded, Script

__all__ = [
    "DEADLINE",
    "Answer",
    "Connection",
    "FakeUpstream",
    "GatewayProcess",
    "Raw",
    "Recorded",
    "RunningGateway",
    "Script",
    "eventually",
    "serving",
    "start",
]

"""A small shop behind a gateway, and a guided tour through it.

services   user, order, product and shipping services    data   what they know
shop       all of them and the gateway, running           tour   the requests, and what is right
show       the tour as people see it
"""

from tidegate.demo.show import run

__all__ = ["run"]

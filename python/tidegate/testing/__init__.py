"""What users test their own gateways with: a real gateway on a free port, and services that do as they are told.

```python
with tidegate.testing.start("gateway.yaml") as gateway:
    gateway.services.orders.get("/orders/1").returns(json={"id": 1})
    gateway.get("/api/orders/1").expect(200, json={"id": 1})
```

`pytest_plugins = ["tidegate.testing.fixtures"]` in a `conftest.py` gives the same as fixtures of pytest.

gateway    starts gateways and asks them     client     over HTTP, blocking or not
services   by name    service    one of them    rules, reply    what it answers
apart      what a document is cut off from   compare, answer, message    what came, and how it differs
listening, connection, raw, waiting          what tests of bytes stand on
"""

from tidegate.testing.answer import Answer
from tidegate.testing.client import AsyncClient
from tidegate.testing.gateway import Document, RunningGateway, start
from tidegate.testing.message import Headers, Recorded
from tidegate.testing.rules import Rule
from tidegate.testing.service import FakeService
from tidegate.testing.services import Services
from tidegate.testing.waiting import eventually

__all__ = [
    "Answer",
    "AsyncClient",
    "Document",
    "FakeService",
    "Headers",
    "Recorded",
    "Rule",
    "RunningGateway",
    "Services",
    "eventually",
    "start",
]

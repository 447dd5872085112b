"""The options of policies that ask a service on their own account."""

from __future__ import annotations

from pydantic import Field

from tidegate.config import addresses
from tidegate.config.check import Check
from tidegate.config.problem import Path
from tidegate.config.values import Text
from tidegate.policies.policy import Policy


class Asked(Policy):
    """A policy that asks a service: one of the document by its name, or any by its URL."""

    service: Text | None = Field(None, description="Name of the service to ask.")
    url: Text | None = Field(
        None, description="URL to ask instead, `https://host/path`; a service of its own, with the defaults of one."
    )

    def asked(self, check: Check, path: Path) -> tuple[str, str]:
        """The name of the service, and the path that goes before every path there."""
        if (self.service is None) == (self.url is None):
            message = "`service` and `url` exclude each other" if self.url else "`url` is missing"
            hint = None if self.url else "write `url: https://host/path`, or `service:` and the name of one"
            check.problem(path, "bad_value" if self.url else "missing", message, hint)
            return "", ""
        if self.service is not None:
            return self.service, ""
        assert self.url is not None, "one of the two is there"
        url = addresses.url(self.url, check, (*path, "url"))
        if url is None:
            return "", ""
        if url.unix is not None:
            return imply(f"unix:{url.unix}", check), ""
        return imply(f"{'https' if url.tls else 'http'}://{url.host}:{url.port}", check), url.path


def imply(origin: str, check: Check) -> str:
    """Has a service made for an origin, once for all that ask there; its name."""
    # Services have policies, so their modules cannot be imported before those of the policies.
    from tidegate.config.services import Service
    from tidegate.plan import encode, plan_service

    if origin not in check.implied.services:
        check.implied.services[origin] = encode(plan_service(Service(name=origin, url=origin), check, check.files))
    return origin

"""The ways in which a service falls ill, and when."""

from dataclasses import dataclass
from enum import StrEnum

SERVICES = 4
SICK = 0
USUAL_MS = 10
"""What an answer takes while all is well."""
RATE = 500.0
"""Requests a second to each service."""
PATIENCE = 3.0
"""Seconds after which the client gives up; every gateway is told to give up after `TIMEOUT`."""
TIMEOUT = 1.0


class Illness(StrEnum):
    HANG = "hang"
    DIE = "die"
    SLOW = "slow"
    FLAP = "flap"
    FAIL = "fail"

    @property
    def headline(self) -> str:
        return {
            Illness.HANG: "One of four services hangs",
            Illness.DIE: "One of four services dies",
            Illness.SLOW: "One of four services takes ten times as long",
            Illness.FLAP: "One of four services flaps",
            Illness.FAIL: "One of four services answers 500",
        }[self]

    @property
    def what_happens(self) -> str:
        return {
            Illness.HANG: "It takes requests and never answers.",
            Illness.DIE: "It resets its connections and refuses new ones.",
            Illness.SLOW: f"Its answers take {10 * USUAL_MS} ms instead of {USUAL_MS} ms.",
            Illness.FLAP: "For one second it answers 500, for the next it is well, and so on.",
            Illness.FAIL: "It answers 500 to everything.",
        }[self]


@dataclass(frozen=True)
class Course:
    """Seconds of each part of a run."""

    warm_up: float = 2
    before: float = 5
    sick: float = 8.4
    after: float = 8
    settling: float = 2.5
    """From the begin of the illness: what a gateway needs to notice a service that hangs, and some more."""

    @property
    def begin(self) -> float:
        return self.warm_up + self.before

    @property
    def end(self) -> float:
        return self.begin + self.sick

    @property
    def total(self) -> float:
        return self.end + self.after

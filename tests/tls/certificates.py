"""Certificates of a test's own authority."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Issued:
    """A certificate chain and its key, as files."""

    certificate: Path
    key: Path


class Authority:
    """Issues certificates into a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._authority = trustme.CA()
        self.file = folder / f"{name}.pem"
        self._authority.cert_pem.write_to_path(self.file)

    def issue(self, *names: str, expired: bool = False) -> Issued:
        """Issues a certificate for host names or addresses; the files carry the first one's name."""
        until = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC) if expired else None
        since = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC) if expired else None
        made = self._authority.issue_cert(*names, common_name=names[0], not_after=until, not_before=since)
        stem = names[0].replace("*", "wild")
        issued = Issued(self._folder / f"{stem}.pem", self._folder / f"{stem}.key")
        for index, part in enumerate(made.cert_chain_pems):
            part.write_to_path(issued.certificate, append=index > 0)
        made.private_key_pem.write_to_path(issued.key)
        return issued

"""What the pages show is true: their documents load."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tidegate import load

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
WHOLE = re.compile(r"^(?:#.*\n)*(?:_format_version|listeners|services|routes|admin|access_log):", re.MULTILINE)


def documents() -> Iterator[tuple[str, str]]:
    """Blocks that are a document and not a part of one: they begin with a key of its top level."""
    for page in PAGES:
        for number, block in enumerate(BLOCK.findall(page.read_text())):
            if WHOLE.match(block):
                yield f"{page.relative_to(ROOT)}-{number}", block


@pytest.mark.parametrize("text", [pytest.param(text, id=page) for page, text in documents()])
def test_a_document_on_a_page_loads(text: str, tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    # Certificates and the like stand for files of the reader's; the keys around them are checked all the same.
    for name in re.findall(r"[\w./-]+\.(?:pem|crt|key)\b", text):
        stand_in = tmp_path / name.lstrip("/")
        stand_in.parent.mkdir(parents=True, exist_ok=True)
        stand_in.write_text("-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n")
        text = text.replace(name, str(stand_in)) if name.startswith("/") else text
    file.write_text(text)
    load(file)

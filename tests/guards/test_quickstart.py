"""The quickstart does what it says, and every link of the documentation leads somewhere."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from tidegate import Gateway
from tidegate.config import load

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
QUICKSTART = (ROOT / "docs" / "quickstart.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", QUICKSTART, re.DOTALL | re.MULTILINE)


async def ask(gateway: Gateway | Path, target: str) -> str:
    from tidegate.serve import serve

    async with serve(gateway) as running:

        def get() -> str:
            with urlopen(running.url + target, timeout=10) as answer:
                return str(answer.read().decode())

        return await asyncio.to_thread(get)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_a_document_of_the_quickstart_loads(text: str, tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(text)
    load(path)


def test_the_first_gateway_says_hello(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(blocks("yaml")[0].replace("127.0.0.1:8080", "127.0.0.1:0"))
    assert asyncio.run(ask(path, "/hi")) == "hello you\n"


def test_the_gateway_in_python_greets() -> None:
    names: dict[str, Any] = {"__name__": "quickstart"}
    exec(blocks("python")[0], names)
    assert asyncio.run(ask(names["gateway"], "/greet/ada")) == '{"hello":"ada"}'


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []

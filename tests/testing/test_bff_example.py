"""`examples/bff`: what its README says."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from tidegate.cli import main
from tidegate.testing import start

EXAMPLE = Path(__file__).parents[2] / "examples" / "bff"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "bff"))


def test_its_tests_pass_and_reach_every_route(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["test", "--fail-under", "100", str(EXAMPLE)])
    assert code == 0, capsys.readouterr().out


def test_a_team_tests_its_own_while_another_is_broken(example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (example / "web" / "gateway.yaml").write_text("rutes: []\n")
    assert main(["test", "--fail-under", "100", str(example / "mobile")]) == 0
    assert f"{example}/mobile/gateway.yaml: 1 of 1 route reached (100 %)" in capsys.readouterr().out
    assert main(["test", str(example / "web")]) == 1
    assert "web/gateway.yaml:1  rutes: unknown key `rutes`" in capsys.readouterr().err
    assert main(["check", str(example / "gateway.yaml")]) == 1


def test_a_broken_one_does_not_stop_the_others(example: Path) -> None:
    (example / "web" / "gateway.yaml").write_text("rutes: []\n")
    with start(example / "gateway.yaml") as gateway:
        gateway.services.order_service.get("/orders/1001").returns(json={"total": 1, "status": "sent"})
        gateway.services.shipping_service.get("/shipments/1001").returns(json={"arrives": "2026-12-01"})
        gateway.get("/mobile/orders/1001").expect(200, json={"total": 1})
        gateway.get("/web/orders/1001").expect(404, code="no_route")
        [broken] = gateway.server.loaded.broken
        assert broken.file.endswith("web/gateway.yaml")


def test_the_web_page_has_thirty_fields() -> None:
    text = (EXAMPLE / "web" / "gateway.yaml").read_text().partition("response:")[2]
    assert len(re.findall(r'"\{\w+\.[\w.]+\}"', re.sub(r"\$for_each.*", "", text))) >= 30


def test_every_folder_says_who_owns_it() -> None:
    for name in ("mobile", "web", "partner"):
        assert "Owner: " in (EXAMPLE / name / "README.md").read_text()

"""What the pages show is true: their documents load, down to the engine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import tidegate
import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```ya?ml\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"[\w./-]+\.(?:pem|crt|key|jwks\.json|targets\.json)\b")
LISTENER = "listeners:\n  - address: 127.0.0.1:0\n"
"""What a block of a page that shows only the options of a listener belongs to."""
AROUND = 'include: "bffs/*"\nservices: [{name: orders, url: "http://orders.internal"}]\n'
"""What stands around a document that a page shows as included."""
ENVIRONMENT = {
    "ANN_HASH": "$argon2id$v=19$m=19456,t=2,p=1$QhfcnNGJytBHmWJgPZuYkw$NfSfNNB2AbXLWLo/9VnXV0eSYmDFj9Yv/PNUIaTePYM",
    "BATCH_SECRET": "0123456789abcdef0123456789abcdef",
    "REDIS_PASSWORD": "secret",
    "REDIS_URL": "rediss://gate:secret@redis.internal:6380/2",
}
"""What the readers of the pages set."""


def documents() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for number, block in enumerate(BLOCK.findall(page.read_text())):
            if re.search("^tests:", block, re.MULTILINE):
                continue  # a file of tests; `tests/testing/test_command.py` runs it
            yield f"{page.relative_to(ROOT)}-{number}", LISTENER + block if block.startswith("    ") else block


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    """What stands in for the files of the readers, by how their names end."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    key = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    return {
        "targets.json": json.dumps(["127.0.0.1:9001"]),
        "partner.pem": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        ".pem": issued.cert_chain_pems[0].bytes().decode() + authority.cert_pem.bytes().decode(),
        ".crt": issued.cert_chain_pems[0].bytes().decode(),
        ".key": issued.private_key_pem.bytes().decode(),
        ".json": json.dumps({"keys": [key]}),
    }


@pytest.mark.parametrize("text", [pytest.param(text, id=page) for page, text in documents()])
def test_a_document_on_a_page_loads(
    text: str, files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in re.findall(r"\$\{env:(\w+)\}", text):
        monkeypatch.setenv(name, ENVIRONMENT[name])
    for name in set(FILE.findall(text)):
        stand_in = tmp_path / name.lstrip("/")
        stand_in.parent.mkdir(parents=True, exist_ok=True)
        stand_in.write_text(next(content for end, content in files.items() if name.endswith(end)))
        text = text.replace(name, str(stand_in)) if name.startswith("/") else text
    # The handlers that are on the pages are those of the examples.
    monkeypatch.syspath_prepend(ROOT / "examples" / "shop")
    monkeypatch.syspath_prepend(ROOT / "examples" / "calls")
    monkeypatch.syspath_prepend(ROOT / "examples" / "asgi")
    file = tmp_path / "gateway.yaml"
    if included := re.match("# (bffs/.*)\n", text):
        # What is included names services of the document around it.
        (tmp_path / "bffs").mkdir()
        (tmp_path / included[1]).write_text(text)
        text = AROUND
    file.write_text(text)
    tidegate.check(file)

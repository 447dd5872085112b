"""`tidegate keys`: what it makes, shows, ends and takes, and what it refuses."""

from __future__ import annotations

import io
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tidegate.cli import main
from tidegate.store import secret as form

from tests.cli.test_commands import Outcome

Keys = Callable[..., Outcome]


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Keys:
    """Runs `tidegate keys` in a folder of the test's; `stdin` is what it reads."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TIDEGATE_STORE", raising=False)

    def run(*arguments: str, stdin: str = "") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = main(["keys", *arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


def test_a_new_key_is_all_that_is_printed_to_stdout(keys: Keys) -> None:
    outcome = keys("create", "--consumer", "acme", "--name", "ci", "--expires", "90d")
    assert outcome.code == 0
    assert re.fullmatch(r"tg_live_[0-9A-Za-z]{36}\n", outcome.out)
    assert re.search(r"key \w+ of acme, good until \d{4}-\d\d-\d\dT.*; it is shown only now", outcome.err)


def test_a_key_is_never_shown_again(keys: Keys) -> None:
    secret = keys("create", "--consumer", "acme").out.strip()
    for arguments in (["list"], ["list", "--json"]):
        shown = keys(*arguments)
        assert secret not in shown.out + shown.err
        assert form.digest(secret) not in shown.out + shown.err
        assert form.hint(secret) in shown.out


def test_the_list_tells_states(keys: Keys) -> None:
    made = [keys("create", "--consumer", name, "--json").json for name in ("acme", "acme", "zeta")]
    keys("revoke", made[0]["id"])
    rows = keys("list", "--json").json
    assert [(row["consumer"], row["state"]) for row in rows] == [
        ("acme", "revoked"),
        ("acme", "active"),
        ("zeta", "active"),
    ] or [(row["consumer"], row["state"]) for row in rows] == [
        ("acme", "active"),
        ("acme", "revoked"),
        ("zeta", "active"),
    ]
    assert [row["id"] for row in keys("list", "--active", "--consumer", "acme", "--json").json] == [made[1]["id"]]
    assert keys("list").out.splitlines()[0].split() == ["ID", "CONSUMER", "NAME", "KEY", "STATE", "CREATED", "EXPIRES"]
    assert keys("list", "--consumer", "nobody").err == "no keys\n"


def test_rotation_prints_the_new_key_and_when_the_old_one_ends(keys: Keys) -> None:
    old = keys("create", "--consumer", "acme", "--json").json
    outcome = keys("rotate", old["id"], "--overlap", "2h")
    assert form.is_whole(outcome.out.strip())
    rows = {row["id"]: row for row in keys("list", "--json").json}
    ends = time.mktime(time.strptime(rows[old["id"]]["expires"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
    assert abs(ends - time.time() - 7200) < 60
    assert rows[old["id"]]["replaced_by"] in rows


def test_keys_are_revoked_by_id_by_consumer_or_as_they_leaked(keys: Keys) -> None:
    made = [keys("create", "--consumer", "acme", "--json").json for _ in range(4)]
    assert keys("revoke", made[0]["id"]).out.startswith(f"revoked {made[0]['id']} tg_live_")
    assert keys("revoke", "--from-stdin", stdin=made[1]["key"] + "\n").out.startswith(f"revoked {made[1]['id']}")
    assert len(keys("revoke", "--consumer", "acme", "--json").json) == 2
    assert keys("list", "--active", "--json").json == []


CSV = """\
consumer,key,name,tier,expires
acme,an-old-key-of-some-length,ci,gold,2090-01-01
# nobody

zeta,sha256:{hash},,,
"""


@pytest.mark.parametrize(
    "text",
    [
        CSV.format(hash="ab" * 32),
        "acme, an-old-key-of-some-length, ci\nzeta, sha256:" + "AB" * 32,
        '{"consumer": "acme", "key": "an-old-key-of-some-length"}\n{"consumer": "zeta", "key": "sha256:'
        + "ab" * 32
        + '"}\n',
        "\ufeffacme,an-old-key-of-some-length\r\nzeta,sha256:" + "ab" * 32 + "\r\n",
    ],
)
def test_keys_of_any_form_are_imported(keys: Keys, text: str, tmp_path: Path) -> None:
    (tmp_path / "keys.csv").write_text(text)
    assert keys("import", "keys.csv").out == "2 keys imported\n"
    assert keys("import", "-", stdin=text).out == "0 keys imported, 2 were known\n"
    assert [row["consumer"] for row in keys("list", "--json").json] == ["acme", "zeta"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("acme", "`consumer` and `key` are needed"),
        ("acme,short", "fewer than 16 characters"),
        ("acme,with a blank in the middle", "no blanks"),
        ("acme,tg_live_0123456789ABCDEFGHIJKLMNOPQRST000000", "checksum is wrong"),
        ("acme,sha256:beef", "64 hexadecimal digits"),
        ("acme,an-old-key-of-some-length,n,soon", "takes `90d`"),
        ("acme,an-old-key-of-some-length,n,,gold,more", "expected consumer, key"),
        ('{"consumer": "acme", "key": "an-old-key-of-some-length", "colour": "red"}', "unknown field `colour`"),
        ('{"consumer": "acme", "key": 5}', "every field is text"),
        ("{broken", "expected consumer, key"),
        (f"{'x' * 129},an-old-key-of-some-length", "1 to 128 characters"),
    ],
)
def test_a_bad_line_is_told_without_its_key_and_nothing_is_taken(keys: Keys, line: str, said: str) -> None:
    good = (
        '{"consumer": "zeta", "key": "a-good-key-of-some-length"}'
        if line.startswith("{")
        else "zeta,a-good-key-of-some-length"
    )
    outcome = keys("import", "-", stdin=f"{good}\n{line}\n")
    assert outcome.code == 1
    assert f"-:2  {said}" in outcome.err or said in outcome.err
    assert "-:2" in outcome.err
    assert "old-key" not in outcome.err
    assert keys("import", "-", stdin=f"{good}\n").out == "1 key imported\n"


def test_weak_keys_are_taken_only_when_told_to(keys: Keys) -> None:
    assert keys("import", "-", "--allow-weak", stdin="acme,short\n").out == "1 key imported\n"


def test_a_file_that_is_not_there_or_no_text(keys: Keys, tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    for name, said in [("nowhere", "no such file"), ("bytes", "not UTF-8"), (".", "is a directory")]:
        outcome = keys("import", name)
        assert (outcome.code, said in outcome.err) == (1, True), outcome.err
    assert keys("import", "-").code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["create"],
        ["create", "--consumer", "a", "--expires", "yesterday"],
        ["create", "--consumer", "a", "--expires", "2001-01-01"],
        ["create", "--consumer", "a", "--prefix", "Not OK"],
        ["rotate", "x", "--overlap", "soon"],
        ["revoke"],
        ["revoke", "x", "--consumer", "a"],
        ["revoke", "--from-stdin"],
    ],
)
def test_wrong_usage(keys: Keys, arguments: list[str], tmp_path: Path) -> None:
    outcome = keys(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert not (tmp_path / "tidegate.db").exists() or "revoke" in arguments


@pytest.mark.parametrize("arguments", [["list"], ["revoke", "x"], ["rotate", "x"]])
def test_a_store_that_is_not_there_is_not_made_to_look_into(keys: Keys, arguments: list[str], tmp_path: Path) -> None:
    outcome = keys(*arguments)
    assert outcome.code == 1
    assert "no such file" in outcome.err
    assert not (tmp_path / "tidegate.db").exists()


@pytest.mark.parametrize("url", ["mysql://x/y", "keys.db", "postgresql://ann:hush@127.0.0.1:1/keys"])
def test_a_store_that_cannot_be_used(keys: Keys, url: str) -> None:
    outcome = keys("list", "--store", url)
    assert outcome.code == 1
    assert outcome.err.startswith("tidegate keys: ")
    assert "hush" not in outcome.err


def test_the_store_of_the_environment_and_of_the_option(
    keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_STORE", "sqlite:///environment.db")
    keys("create", "--consumer", "acme")
    keys("create", "--consumer", "acme", "--store", "sqlite:///option.db")
    assert sorted(file.name for file in tmp_path.glob("*.db")) == ["environment.db", "option.db"]


# In another folder than the gateway's, keys were made that no gateway saw, without a word.
def test_a_store_that_is_new_is_told_of(keys: Keys, tmp_path: Path) -> None:
    assert keys("create", "--consumer", "acme").err.startswith(f"made the store sqlite:///{tmp_path}/tidegate.db; ")
    assert "made the store" not in keys("create", "--consumer", "acme").err


def test_unknown_keys_fail(keys: Keys) -> None:
    keys("create", "--consumer", "acme")
    for arguments in (["revoke", "nobody"], ["rotate", "nobody"]):
        assert keys(*arguments).err.startswith("tidegate keys: there is no key `nobody`")
    assert (
        keys("revoke", "--from-stdin", stdin="secret-of-others\n").err == "tidegate keys: the store knows no such key\n"
    )


# The name of the key was taken for the command's.
@pytest.mark.parametrize("name", [[], ["--name", "ci"]])
def test_a_wrong_use_names_the_command(keys: Keys, name: list[str]) -> None:
    outcome = keys("create", "--consumer", "acme", "--expires", "soon", *name)
    assert outcome.code == 2
    assert outcome.err.startswith("tidegate keys: `--expires` takes `90d`")


def test_a_password_is_hashed(keys: Keys) -> None:
    outcome = keys("hash-password", "--stdin", stdin="correct horse\n")
    assert re.fullmatch(r"\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}\n", outcome.out)
    assert (
        keys("hash-password", "--stdin", "--json", stdin="correct horse\n").json["password_hash"] != outcome.out.strip()
    )
    assert keys("hash-password", "--stdin").code == 2
    # From a pipe, which nobody can be asked by.
    assert keys("hash-password", stdin="correct horse\n").out.startswith("$argon2id$")

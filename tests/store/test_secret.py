"""Keys look so that scanners find them, and so that a typing error is none."""

from __future__ import annotations

import re

import pytest
from tidegate.store import secret as form

KEY = "tg_live_0123456789ABCDEFGHIJKLMNOPQRST"


def test_a_key_is_found_by_the_pattern_of_the_page_and_is_whole() -> None:
    keys = {form.new_secret() for _ in range(200)}
    assert len(keys) == 200
    for key in keys:
        assert re.fullmatch(r"tg_live_[0-9A-Za-z]{36}", key)
        assert form.is_whole(key)
        assert not form.is_mistyped(key)


def test_its_chance_is_more_than_160_bits() -> None:
    assert len(form.ALPHABET) ** form.CHANCE > 2**160


def test_every_wrong_or_missing_character_is_seen() -> None:
    key = form.new_secret()
    for at in range(3, len(key)):
        wrong = "x" if key[at] != "x" else "y"
        assert form.is_mistyped(key[:at] + wrong + key[at + 1 :])
        assert form.is_mistyped(key[:at])


@pytest.mark.parametrize("foreign", ["", "tg", "sk_live_4eC39HqLyjWDarjtT1zdp7dc", "AKIAIOSFODNN7EXAMPLE"])
def test_keys_of_others_are_not_judged(foreign: str) -> None:
    assert not form.is_mistyped(foreign)


def test_a_prefix_is_words() -> None:
    for prefix, good in [
        ("tg_live", True),
        ("acme", True),
        ("acme_2_test", True),
        ("", False),
        ("Acme", False),
        ("acme_", False),
        ("a__b", False),
        ("1a", False),
        ("a" * 33, False),
    ]:
        assert form.is_prefix(prefix) is good, prefix


def test_a_hint_shows_little() -> None:
    key = KEY + form.checksum(KEY)
    assert form.hint(key) == "tg_live_0123..."
    assert form.hint("an-old-key-of-some-length") == "an-o..."
    assert form.hint("short") == "..."


def test_a_written_hash_is_read() -> None:
    digest = form.digest("x")
    assert form.written_digest(digest.upper()) == form.written_digest(f"sha256:{digest}") == digest
    assert form.written_digest(digest[1:]) is None

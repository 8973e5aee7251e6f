"""Secrets do not leave the process in text."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.redaction import redact


@pytest.mark.parametrize(
    "secret",
    [
        "tml-abcdef123456",
        "hf_AbCdEfGh123",
        "0123456789abcdef0123456789abcdef01234567",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    ],
)
def test_what_looks_like_a_secret_is_taken_out(secret: str) -> None:
    assert redact(f"key {secret}.", {}) == "key <secret>."


def test_values_of_variables_named_like_one_are_taken_out() -> None:
    environ = {"MY_PASSWORD": "open sesame", "HOME": "/home/me", "SHORT_KEY": "abc"}
    assert redact("open sesame /home/me abc", environ) == "<MY_PASSWORD> /home/me abc"


def test_the_user_and_password_of_an_address_are_taken_out() -> None:
    assert redact("at http://user:pw@host:9/x?a@b", {}) == "at http://<secret>@host:9/x?a@b"
    assert redact("mail me@host", {}) == "mail me@host"


@pytest.mark.parametrize("url", ["http://user:pw@host", "https://token@host/path"])
def test_an_address_with_credentials_is_refused_since_it_would_be_recorded(url: str) -> None:
    with pytest.raises(ValidationError, match="TINKER_API_KEY"):
        EngineConfig(base_url=url)
    assert EngineConfig(base_url="http://host:1/a@b").base_url == "http://host:1/a@b"

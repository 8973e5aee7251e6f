"""Secrets do not leave the process in text."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.errors import OtError
from openthoughts_cli.events import Notice
from openthoughts_cli.redaction import redact, without_secrets


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


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("http://me:p@ss@host/x", "http://<secret>@host/x"),
        ("GET /a?x=1&access_token=abc&y=2", "GET /a?x=1&access_token=<secret>&y=2"),
        ("?X-Amz-Signature=0a1b", "?X-Amz-Signature=<secret>"),
        ("?sv=2024&sig=0a%2Fb&config=x", "?sv=2024&sig=<secret>&config=x"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer <secret>"),
        (f"no revision org/data@{'a1' * 20}", f"no revision org/data@{'a1' * 20}"),
    ],
)
def test_secrets_in_addresses_and_headers_are_taken_out(text: str, clean: str) -> None:
    assert redact(text, {}) == clean


def test_a_secret_is_found_as_it_stands_in_a_url_or_in_json() -> None:
    environ = {"MY_TOKEN": 'a/b "c"', "MY_KEY": 'a/b "c" and more'}
    for form in ('a/b "c"', "a%2Fb%20%22c%22", 'a/b \\"c\\"'):
        assert redact(f"it was {form}.", environ) == "it was <MY_TOKEN>."
    assert redact('a/b "c" and more', environ) == "<MY_KEY>"


def test_settings_that_are_named_like_secrets_do_not_garble_text() -> None:
    environ = {"TOKENIZERS_PARALLELISM": "disabled", "KEY_LENGTH": "4096"}
    assert redact("disabled at 4096", environ) == "disabled at 4096"
    environ = {
        "OT_SUBSET__TOKENIZER": "Qwen/Qwen3-8B",
        "OT_EXPLORE_TOKENIZER": "Qwen/Qwen3-8B",
        "OT_TRAIN__CURRICULUM_KEY": "difficulty",
        "OT_TRAIN__MAX_TOKENS": "1048576",
    }
    text = "rows of Qwen/Qwen3-8B have no difficulty above 1048576"
    assert redact(text, environ) == text
    assert redact("open-sesame", {"TOKENIZER_API_KEY": "open-sesame"}) == "<TOKENIZER_API_KEY>"


def test_errors_and_notices_hold_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "open-sesame")
    error = OtError("the server said open-sesame", hint="not open-sesame")
    assert "open-sesame" not in f"{error} {error.message} {error.hint} {error.args}"
    assert Notice("open-sesame").text == "<HF_TOKEN>"


def test_a_child_gets_the_environment_without_keys() -> None:
    environ = {"PATH": "/bin", "HF_TOKEN": "x", "AWS_SECRET_ACCESS_KEY": "y", "PIP_CERT": "c"}
    assert without_secrets(environ) == {"PATH": "/bin", "PIP_CERT": "c"}

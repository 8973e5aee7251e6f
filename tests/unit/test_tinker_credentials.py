"""`has_credentials` gives the SDK's own answer without importing it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.engine.tinker.credentials import credentials_problem, has_credentials


def _jwt(claims: dict[str, Any]) -> str:
    def part(content: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none'})}.{part(claims)}.x"


_DETAILS = {"org_details": {"name": "o"}, "user_details": {"email": "e@x"}}


def _file(default: str | None, **keys: Any) -> str:
    return json.dumps({"version": 1, "default": default, "keys": keys})


_MANUAL = {"type": "manual", "key": "tml-stored", "name": "n"}
_ENVIRONMENTS: list[dict[str, str]] = [
    {},
    {"TINKER_API_KEY": ""},
    {"TINKER_API_KEY": "tml-key"},
    {"TINKER_API_KEY": "sk-key"},
    {"TINKER_API_KEY": "sk-key", "TINKER_CREDENTIAL_CMD": "echo tml-x"},
    {"TINKER_CREDENTIAL_CMD": "echo tml-x"},
    {"TINKER_API_KEY": _jwt({"exp": 4e9})},
    {"TINKER_API_KEY": _jwt({"exp": 1})},
    {"TINKER_API_KEY": _jwt({})},
    {"TINKER_API_KEY": "eyJnonsense"},
    {"TINKER_API_KEY": "eyJa.b"},
    {"TINKER_API_KEY": "eyJnonsense", "TINKER_CREDENTIAL_CMD": "echo tml-x"},
]
_FILES: list[str | None] = [
    None,
    "",
    "not json",
    "[]",
    "{}",
    _file(None, a=_MANUAL),
    _file("a", a=_MANUAL),
    _file("b", a=_MANUAL),
    _file("a", a={**_MANUAL, "key": "sk-other"}),
    _file("a", a={**_MANUAL, "key": _jwt({"exp": 4e9})}),
    _file("a", a={"type": "generated", "key": "tml-g", "name": "n", "details": _DETAILS}),
    _file("a", a=_MANUAL, b={"type": "generated", "key": "tml-g", "name": "n"}),
    _file("a", a={"type": "other", "key": "tml-g", "name": "n"}),
    _file("a", a={"type": "manual", "name": "n"}),
    json.dumps({"version": 2, "default": "a", "keys": {"a": _MANUAL}}),
]


@pytest.mark.parametrize("content", _FILES)
@pytest.mark.parametrize("environment", _ENVIRONMENTS)
def test_the_answer_is_the_sdk_s(
    environment: dict[str, str],
    content: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tinker.auth import tinker_has_credentials

    for name in ("TINKER_API_KEY", "TINKER_CREDENTIAL_CMD"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    if content is not None:
        (tmp_path / ".tinker").mkdir()
        (tmp_path / ".tinker" / "credentials.json").write_text(content)
    assert has_credentials() == tinker_has_credentials()


def test_a_problem_never_tells_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    problem = credentials_problem({"TINKER_API_KEY": "sk-very-secret"})
    assert problem is not None
    assert "tml-" in problem
    assert "very-secret" not in problem
    assert credentials_problem({}) == "no Tinker credentials are configured"


def test_asking_imports_no_sdk() -> None:
    code = (
        "import sys; from openthoughts_cli.engine.tinker.credentials import has_credentials; "
        "import openthoughts_cli.engine.tinker; has_credentials(); print('tinker' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"

"""Whether the SDK would find credentials, told without importing it.

The order is the SDK's (tinker 0.38, `lib/_auth_token_provider.py`): `TINKER_API_KEY`, then
`TINKER_CREDENTIAL_CMD` (never run here), then the default key of `~/.tinker/credentials.json`.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

__all__ = ["KEYS_URL", "credentials_problem", "has_credentials"]

KEYS_URL = "https://tinker.thinkingmachines.ai/keys"


class _Organisation(BaseModel):
    name: str


class _User(BaseModel):
    email: str


class _Details(BaseModel):
    org_details: _Organisation
    user_details: _User


class _Record(BaseModel):
    type: Literal["manual", "generated"]
    key: str
    name: str
    note: str | None = None
    details: _Details | None = None


class _Stored(BaseModel):
    version: Literal[1] = 1
    default: str | None = None
    keys: dict[str, _Record] = Field(default_factory=dict[str, _Record])


def has_credentials(environ: Mapping[str, str] | None = None) -> bool:
    """Whether a usable Tinker credential is configured. Nothing is sent and nothing is run."""
    return credentials_problem(environ) is None


def credentials_problem(environ: Mapping[str, str] | None = None) -> str | None:
    """Why there are no usable credentials, in half a sentence without secrets; None if there are."""
    env = os.environ if environ is None else environ
    key = env.get("TINKER_API_KEY", "")
    command = env.get("TINKER_CREDENTIAL_CMD", "")
    if key:
        problem = _key_problem(key)
        if problem is None or (command and not key.startswith("eyJ")):
            return None
        return f"TINKER_API_KEY {problem}"
    if command:
        return None
    stored = _stored_key()
    if stored is None:
        return "no Tinker credentials are configured"
    problem = _key_problem(stored)
    return None if problem is None else f"the key in {_credentials_file()} {problem}"


def _key_problem(key: str) -> str | None:
    if key.startswith("eyJ"):
        return None if _jwt_expires(key) else "is a JWT without an expiry"
    return None if key.startswith("tml-") else "does not start with 'tml-'"


def _jwt_expires(token: str) -> bool:
    parts = token.split(".")
    if len(parts) < 2:
        return False
    try:
        claims: Any = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        float(claims["exp"])
    except (ValueError, KeyError, TypeError):
        return False
    return True


def _credentials_file() -> Path:
    return Path("~/.tinker/credentials.json").expanduser()


def _stored_key() -> str | None:
    try:
        stored = _Stored.model_validate_json(_credentials_file().read_bytes())
    except (OSError, ValidationError):
        return None
    if any(one.type == "generated" and one.details is None for one in stored.keys.values()):
        return None  # the SDK refuses the whole file
    record = stored.keys.get(stored.default or "")
    return None if record is None else record.key

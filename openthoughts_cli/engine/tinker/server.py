"""Whether the server is there, and what it calls itself.

The API tells no version. Servers other than the service are made with web frameworks that publish a
description of themselves, or at least name themselves in a header; that is what errors about
something lacking can say.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from tinker.lib.base_url import DEFAULT_BASE_URL

from openthoughts_cli.errors import NetworkError
from openthoughts_cli.redaction import redact

__all__ = ["SERVICE", "reach"]

SERVICE = "Tinker"

_TIMEOUT_S = 3.5
_TRIES = 3
_AGAIN_S = 0.7
_MOST_CHARACTERS = 80


async def reach(base_url: str) -> str:
    """Ask the server whether it is well; the name to call it by in errors.

    Refuses within seconds what the SDK would retry for minutes.

    Raises:
        NetworkError: it cannot be reached.
    """
    async with httpx.AsyncClient(timeout=_TIMEOUT_S) as client:
        health = await _health(client, base_url)
        if base_url == DEFAULT_BASE_URL:
            return SERVICE
        return f"the server at {base_url} ({await _version(client, base_url, health)})"


async def _health(client: httpx.AsyncClient, base_url: str) -> httpx.Response:
    for tries_left in reversed(range(_TRIES)):
        try:
            return await client.get(f"{base_url}/api/v1/healthz")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if not tries_left:
                raise NetworkError(
                    f"the Tinker server at {base_url} cannot be reached: "
                    f"{str(error) or type(error).__name__}",
                    hint="check the network and TINKER_BASE_URL; `--engine local` needs neither",
                ) from error
        await asyncio.sleep(_AGAIN_S)
    raise AssertionError("unreachable")


async def _version(client: httpx.AsyncClient, base_url: str, health: httpx.Response) -> str:
    try:
        described: Any = (await client.get(f"{base_url}/openapi.json")).json()
        info = described["info"]
        text = f"{info['title']} {info['version']}"
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        text = health.headers.get("server", "") or "it tells no version"
    return " ".join(redact(text).split())[:_MOST_CHARACTERS]

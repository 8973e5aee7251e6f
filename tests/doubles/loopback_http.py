"""A small HTTP/1.1 server on loopback, in a thread with an event loop of its own.

Written by hand rather than with a framework, so that a test can make it do what frameworks
prevent: half a response, the same response twice, a reset, silence, absence.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

__all__ = ["Delivery", "Handler", "HttpRequest", "HttpResponse", "LoopbackServer", "json_response"]

T = TypeVar("T")

Delivery: TypeAlias = Literal["whole", "half", "nothing", "reset", "twice"]
"""How a response reaches the client; all but `whole` and `twice` end the connection."""

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request; header names are lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body or b"{}")


@dataclass(frozen=True, slots=True)
class HttpResponse:
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict[str, str])
    delivery: Delivery = "whole"

    def encoded(self) -> bytes:
        reason = _REASONS.get(self.status, "Status")
        lines = [
            f"HTTP/1.1 {self.status} {reason}",
            f"content-type: {self.content_type}",
            f"content-length: {len(self.body)}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]


def json_response(content: Any, status: int = 200) -> HttpResponse:
    return HttpResponse(status, json.dumps(content).encode())


class LoopbackServer:
    """Serves `handler` at `url` from `start` to `stop`. One task a connection."""

    def __init__(self, handler: Handler, *, port: int = 0) -> None:
        self._handler = handler
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="loopback", daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._absences: set[asyncio.Task[None]] = set()
        self.url = ""

    def call(self, work: Coroutine[Any, Any, T], timeout_s: float = 30.0) -> T:
        """Run a coroutine in the server's loop, from another thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_s)

    def start(self) -> None:
        self._thread.start()
        self.call(self._listen())

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
        host, self._port = self._server.sockets[0].getsockname()
        self.url = f"http://{host}:{self._port}"

    def leave(self, seconds: float | None) -> None:
        """Cut all connections and refuse new ones for that long (None: for good), as a server that
        starts anew does. Call it in the server's loop."""
        task = self._loop.create_task(self._be_away(seconds))
        self._absences.add(task)
        task.add_done_callback(self._absences.discard)

    async def _be_away(self, seconds: float | None) -> None:
        await self._stop_listening()
        if seconds is not None:
            await asyncio.sleep(seconds)
            await self._listen()

    async def come_back(self) -> None:
        """Listen again at the same address, if it does not."""
        if self._server is None:
            await self._listen()

    def stop(self) -> None:
        self.call(self._hang_up())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    async def _hang_up(self) -> None:
        for absence in tuple(self._absences):
            absence.cancel()
        await asyncio.gather(*self._absences, return_exceptions=True)
        await self._stop_listening()
        await self._loop.shutdown_default_executor()

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while (request := await _read_request(reader)) is not None:
                response = await self._handler(request)
                _deliver(response, writer)
                await writer.drain()
                closes = response.headers.get("connection") == "close"
                if closes or response.delivery not in ("whole", "twice"):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went away, or the server stops
        finally:
            self._connections.discard(task)
            writer.close()


def _deliver(response: HttpResponse, writer: asyncio.StreamWriter) -> None:
    whole = response.encoded()
    if response.delivery in ("whole", "twice"):
        writer.write(whole)
    if response.delivery == "twice":
        writer.write(whole)
    elif response.delivery == "half":
        head = len(whole) - len(response.body)
        writer.write(whole[: head + len(response.body) // 2] if response.body else whole[:-2])
    elif response.delivery == "reset":
        # Closing a socket that must not linger sends RST instead of FIN.
        plain: socket.socket = writer.get_extra_info("socket")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()


async def _read_request(reader: asyncio.StreamReader) -> HttpRequest | None:
    """The next request of a connection; None when the client is done."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *rest = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in rest)
    }
    path, _, query = target.partition("?")
    return HttpRequest(method, path, query, headers, await _read_body(reader, headers))


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    chunks: list[bytes] = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        chunks.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(chunks)

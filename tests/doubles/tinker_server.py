"""A scripted Tinker server on loopback: what the SDK 0.38 sends and expects, over HTTP.

The real SDK is its client, reached by nothing but TINKER_BASE_URL and a key of the right form.
Behind it works any engine (the in-memory one by default). It checks what a service would: the key,
the session, the order of sequence ids, the rank, the context, the model, the saved path and its
time to live. What no client should ever send is answered 400 and remembered in `violations`.

    with TinkerServer() as server:
        os.environ["TINKER_BASE_URL"] = server.url
        os.environ["TINKER_API_KEY"] = server.key

    python -m tests.doubles.tinker_server --port 0     # prints its URL, then serves until a signal
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import signal
import threading
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from openthoughts_cli.engine.base import Engine, ModelInfo
from openthoughts_cli.errors import ConflictError, EngineError, ModelError
from tests.doubles.directory_store import DirectoryStore
from tests.doubles.loopback_http import HttpRequest, HttpResponse, LoopbackServer, json_response
from tests.doubles.memory_engine import MemoryEngine
from tests.doubles.tinker_base import Refused
from tests.doubles.tinker_queue import Promise, Run, SamplingSession, Saved, Session
from tests.doubles.tinker_routes import ROUTES
from tests.doubles.tinker_wire import WireError

__all__ = ["TinkerServer", "main"]

KEY = "tml-fake-key-of-the-scripted-server"


class TinkerServer:
    """See the module.

    Args:
        open_engine: makes the engine behind the server, inside its event loop.
        key: the only key it lets in.
        advertised: what the capabilities say; by default what the engine serves.
        saved: the tinker:// paths; hand the same mapping to a later server to keep them.
        client_config: flags that the SDK is told at its start, over its defaults.
        poll_s: how long a retrieval waits before it says "try again".
        inline_bytes: of a longer result its size is told first, where the client allows that.
        session_lapses_s: how long a session lives without a heartbeat or another request.
        lacks: paths of routes that it does not have; "sample_sequence_ids" and "protobuf" results.
        version: what it says of itself, as servers made with FastAPI do.
        now: the server's time in seconds, for expiry.
    """

    def __init__(
        self,
        open_engine: Callable[[], Engine] = MemoryEngine,
        *,
        key: str = KEY,
        advertised: Sequence[ModelInfo] | None = None,
        saved: MutableMapping[str, Saved] | None = None,
        client_config: Mapping[str, Any] | None = None,
        poll_s: float = 20.0,
        inline_bytes: int = 1 << 20,
        session_lapses_s: float = 300.0,
        port: int = 0,
        lacks: Sequence[str] = (),
        version: str | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.key = key
        self.client_config = dict(client_config or {})
        self.poll_s = poll_s
        self.inline_bytes = inline_bytes
        self.session_lapses_s = session_lapses_s
        self.now = now
        self.lacks = lacks
        self.version = version
        self.advertised = advertised
        self.saved: MutableMapping[str, Saved] = {} if saved is None else saved
        self.sessions: dict[str, Session] = {}
        self.runs: dict[str, Run] = {}
        self.history: list[Run] = []
        self.samplers: dict[str, SamplingSession] = {}
        self.promises: dict[str, Promise] = {}
        self.lost: set[str] = set()
        self.requests: list[HttpRequest] = []
        self.violations: list[str] = []
        self.numbers = itertools.count(1)
        self._open_engine = open_engine
        self._engine: Engine | None = None
        self.http = LoopbackServer(self._respond, port=port)

    @property
    def url(self) -> str:
        return self.http.url

    @property
    def engine(self) -> Engine:
        if self._engine is None:
            self._engine = self._open_engine()
        return self._engine

    def paths(self) -> list[str]:
        """The routes that were asked, in order, numbers and names in them included."""
        return [request.path for request in self.requests]

    async def served(self) -> Sequence[ModelInfo]:
        return await self.engine.models()

    def expire(self, path: str) -> None:
        """Let saved weights expire now."""
        del self.saved[path]

    def add_run(self, run: Run) -> None:
        self.runs[run.model_id] = run
        self.history.append(run)

    def forget(self) -> None:
        """Lose all that is not on disk: sessions, runs, samplers, results; saved weights stay."""
        for kept in (self.sessions, self.runs, self.samplers, self.promises):
            kept.clear()

    def check_tokens(self, tokens: Sequence[int]) -> None:
        """Refuse ids that no tokenizer of the engine's models has."""
        vocab_size = getattr(self.engine, "vocab_size", None)
        if vocab_size is not None and not all(0 <= token < vocab_size for token in tokens):
            raise WireError(f"token ids outside the vocabulary of {vocab_size}")

    async def _respond(self, request: HttpRequest) -> HttpResponse:
        """The one place between HTTP and the routes; a test may wrap it to disturb the service."""
        self.requests.append(request)
        return self.closing(request, await self._answer(request))

    @staticmethod
    def closing(request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """The response, with an end to the connection that the SDK never closes by itself."""
        if request.path != "/api/v1/client/config":
            return response
        headers = {**response.headers, "connection": "close"}
        return dataclasses.replace(response, headers=headers)

    async def _answer(self, request: HttpRequest) -> HttpResponse:
        try:
            return await self._route(request)
        except Refused as refused:
            return json_response({"detail": str(refused)}, refused.status)
        except ModelError as error:
            return json_response({"detail": str(error)}, 404)
        except (WireError, EngineError, ConflictError, KeyError, ValueError) as error:
            self.violations.append(f"{request.path}: {type(error).__name__}: {error}")
            return json_response({"detail": f"{type(error).__name__}: {error}"}, 400)

    async def _route(self, request: HttpRequest) -> HttpResponse:
        if request.path in self.lacks:
            return json_response({"detail": "Not Found"}, 404)
        if request.path == "/api/v1/healthz":
            return json_response({"status": "ok"})
        if request.path == "/openapi.json" and self.version is not None:
            return json_response({"info": {"title": "Scripted", "version": self.version}})
        if not request.path.startswith("/api/"):
            raise Refused(404, "Not Found")
        key = request.headers.get("x-api-key", "")
        if not key.startswith("tml-") or key != self.key:
            raise Refused(401, f"invalid API key {key}")
        for method, pattern, handle in ROUTES:
            found = pattern.fullmatch(request.path)
            if found and method == request.method:
                return await handle(self, request, *found.groups())
        raise Refused(404, "Not Found")

    def start(self) -> None:
        self.http.start()

    def stop(self) -> None:
        async def close() -> None:
            if self._engine is not None:
                await self._engine.close()

        self.http.call(close())
        self.http.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the in-memory engine until SIGINT or SIGTERM; the first line printed is the URL."""
    parser = argparse.ArgumentParser(prog="python -m tests.doubles.tinker_server")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--key", default=KEY)
    parser.add_argument("--model", action="append", help="served models (default: tiny/bigram)")
    parser.add_argument("--context", type=int, default=4096, help="context of each, in tokens")
    parser.add_argument("--vocab-size", type=int, default=32)
    parser.add_argument("--cycle-s", type=float, default=0.0)
    parser.add_argument("--latency-s", type=float, default=0.0)
    parser.add_argument("--weights", type=Path, help="keep the engine's states in this directory")
    given = parser.parse_args(arguments)
    models = [ModelInfo(name, given.context) for name in given.model or ["tiny/bigram"]]
    store = None if given.weights is None else DirectoryStore(given.weights)

    def open_engine() -> MemoryEngine:
        return MemoryEngine(
            models,
            vocab_size=given.vocab_size,
            store=store,
            cycle_s=given.cycle_s,
            latency_s=given.latency_s,
        )

    asked_to_stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked_to_stop.set())
    with TinkerServer(open_engine, key=given.key, port=given.port) as server:
        print(server.url, flush=True)
        asked_to_stop.wait()


if __name__ == "__main__":
    main()

"""The Tinker service, or a server that speaks its API, behind the port.

The SDK chunks, retries, backs off and pauses by itself; all that is added is an end to waiting for
a server that is silent (`engine.patience_minutes`). Its own
telemetry (which carries error texts and tracebacks, and delays every failure until it is sent) is
switched off unless `TINKER_TELEMETRY` says otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar, cast

import tinker
from tinker.lib.base_url import resolve_base_url

from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.engine.base import LoraSpec, ModelInfo, Sampler, Trainer
from openthoughts_cli.engine.tinker.addresses import remember
from openthoughts_cli.engine.tinker.credentials import KEYS_URL, credentials_problem
from openthoughts_cli.engine.tinker.failures import SDK_ERRORS, as_ot_error
from openthoughts_cli.engine.tinker.futures import Answer, received
from openthoughts_cli.engine.tinker.models import find_served, served_models
from openthoughts_cli.engine.tinker.notices import SdkNotices
from openthoughts_cli.engine.tinker.patience import Patience
from openthoughts_cli.engine.tinker.sampler import TinkerSampler
from openthoughts_cli.engine.tinker.server import SERVICE, reach
from openthoughts_cli.engine.tinker.trainer import TinkerTrainer
from openthoughts_cli.errors import AuthError, ModelError, OtError
from openthoughts_cli.events import Listener, Notice, silent

__all__ = ["TinkerEngine"]

T = TypeVar("T")

_CLOSE_TIMEOUT_S = 20.0


class TinkerEngine:
    """Trainers and samplers on a Tinker server.

    Args:
        config: `base_url` names another server than `$TINKER_BASE_URL` or the service. The key is
            sent there: see `addresses.refuse_foreign` for one that comes from a record.
        listener: hears the SDK's warnings (a pause over billing or capacity), and when the server
            could not be told that the session is over.

    Raises:
        AuthError: no credentials are configured, or they cannot be a Tinker key.
    """

    kind = "tinker"
    costs_money = True
    deterministic = False

    def __init__(self, config: EngineConfig, *, listener: Listener = silent) -> None:
        problem = credentials_problem()
        if problem is not None:
            raise AuthError(
                problem,
                hint=f"get a key at {KEYS_URL} and set TINKER_API_KEY, or run `tinker auth login`; "
                "`--engine local` needs no key",
            )
        os.environ.setdefault("TINKER_TELEMETRY", "0")
        self.base_url = resolve_base_url(config.base_url)
        self._patience_s = config.patience_minutes * 60
        self._listener = listener
        self._notices = SdkNotices(listener)
        self._service = tinker.ServiceClient(
            user_metadata={"tool": "openthoughts-cli"}, base_url=self.base_url
        )
        self._served: tuple[ModelInfo, ...] | None = None
        self._server = SERVICE
        self._closed = False

    def models(self) -> Awaitable[tuple[ModelInfo, ...]]:
        """What the server serves to this account; asked once.

        Raises:
            NetworkError: the server cannot be reached; within seconds.
            AuthError: it refuses the credentials.
        """
        return Answer(self._models())

    def describe(self, model: str, *, train: bool = False) -> Awaitable[ModelInfo]:
        """Raises `ModelError` with the models that are served, same tokenizer first."""
        return Answer(self._describe(model, train))

    def create_trainer(self, model: str, lora: LoraSpec) -> Awaitable[Trainer]:
        return Answer(self._create_trainer(model, lora))

    def resume_trainer(self, state_path: str) -> Awaitable[Trainer]:
        return Answer(self._resume_trainer(state_path))

    def create_sampler(
        self, model: str | None = None, *, sampler_path: str | None = None
    ) -> Awaitable[Sampler]:
        if (model is None) == (sampler_path is None):
            raise ValueError("give a model or a sampler_path, and not both")
        return Answer(self._create_sampler(model, sampler_path))

    async def _models(self) -> tuple[ModelInfo, ...]:
        if self._served is None:
            self._notices.attach()
            self._server = await reach(self.base_url)
            remember(self.base_url)
            patience = self._patience("what the server serves")
            client = await self._blocking(
                lambda: tinker.RestClient(base_url=self.base_url), patience
            )
            self._served = served_models(await received(client.get_server_capabilities(), patience))
        return self._served

    async def _describe(self, model: str, train: bool) -> ModelInfo:
        return self._find(await self._models(), model, train=train, sample=not train)

    def _find(
        self,
        served: tuple[ModelInfo, ...],
        model: str,
        *,
        train: bool = False,
        sample: bool = False,
    ) -> ModelInfo:
        return find_served(served, model, train=train, sample=sample, server=self._server)

    async def _create_trainer(self, model: str, lora: LoraSpec) -> TinkerTrainer:
        info = self._find(await self._models(), model, train=True)
        patience = self._patience("training")
        pending = await self._blocking(
            lambda: self._service.create_lora_training_client(
                base_model=model,
                rank=lora.rank,
                seed=lora.seed,
                train_mlp=lora.mlp,
                train_attn=lora.attn,
                train_unembed=lora.unembed,
            ),
            patience,
        )
        return TinkerTrainer(await received(pending, patience), info, patience)

    async def _resume_trainer(self, state_path: str) -> TinkerTrainer:
        _check_path(state_path)
        served = await self._models()
        patience = self._patience("training")
        pending = await self._blocking(
            lambda: self._service.create_training_client_from_state_with_optimizer(state_path),
            patience,
        )
        client = await received(pending, patience)
        info = client.get_info()
        name = info.model_data.model_name or info.model_name or ""
        return TinkerTrainer(client, self._find(served, name, train=True), patience)

    async def _create_sampler(self, model: str | None, path: str | None) -> TinkerSampler:
        served = await self._models()
        if path is not None:
            _check_path(path)
        if model is not None:
            self._find(served, model, sample=True)
        patience = self._patience("sampling")
        pending = await self._blocking(
            lambda: self._service.create_sampling_client(model_path=path, base_model=model),
            patience,
        )
        client = await received(pending, patience)
        info = self._find(served, client.get_base_model(), sample=True)
        return TinkerSampler(client, info, patience)

    def _patience(self, what: str) -> Patience:
        return Patience(self._patience_s, what=what, server=self._server, listener=self._listener)

    async def _blocking(self, call: Callable[[], T], patience: Patience) -> T:
        """A call of the SDK that may open its session, and so block, first.

        In a thread that nobody waits for at the end, unlike those of `asyncio.to_thread`.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            try:
                result = call()
            except SDK_ERRORS as error:
                _hand_over(loop, done, None, as_ot_error(error, server=patience.server))
            else:
                _hand_over(loop, done, result, None)

        threading.Thread(target=work, name="tinker", daemon=True).start()
        await patience.wait_for(done)
        return done.result()

    async def close(self) -> None:
        """Tell the server that the session is over. Requests that still run are not awaited."""
        await self._close("success")

    async def _close(self, status: Literal["success", "errored", "interrupted"]) -> None:
        if self._closed:
            return
        self._closed = True
        patience = Patience(min(_CLOSE_TIMEOUT_S, self._patience_s), what="the session's end")
        ended = Answer(received(self._service.close(status), patience))
        try:
            await ended
        except OtError:
            # What was done is kept either way; the server ends a silent session by itself.
            self._listener(
                Notice("the Tinker server was not told that the session is over", "warning")
            )
        self._notices.detach()

    async def __aenter__(self) -> TinkerEngine:
        return self

    async def __aexit__(self, *exc: object) -> None:
        error = exc[1] if len(exc) > 1 else None
        if error is None:
            await self._close("success")
        elif isinstance(error, Exception):
            await self._close("errored")
        else:
            await self._close("interrupted")


def _hand_over(
    loop: asyncio.AbstractEventLoop,
    done: asyncio.Future[T],
    result: T | None,
    error: OtError | None,
) -> None:
    """Settle `done` from another thread."""

    def settle() -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
            done.exception()  # the waiter may have lost its patience
        else:
            done.set_result(cast("T", result))

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(settle)


def _check_path(path: str) -> None:
    if not path.startswith("tinker://"):
        raise ModelError(
            f"{path} is not weights on a Tinker server",
            hint="a path from the local engine opens with --engine local",
        )

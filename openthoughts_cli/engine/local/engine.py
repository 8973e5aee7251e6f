"""The local engine: transformers, peft and torch on this machine's CPU or one GPU.

This module imports none of them; they come with the first model. One frozen base is shared by all
trainers and samplers of a model, and two lanes (see `lanes.py`) take turns to compute on it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.engine.base import LoraSpec, ModelInfo
from openthoughts_cli.engine.local.fetch import BUILT_IN, describe, locate
from openthoughts_cli.engine.local.lanes import Answer, Lane, Turns
from openthoughts_cli.errors import EngineError, MissingExtraError
from openthoughts_cli.events import Listener, Notice, StageDone, StageStarted, silent

if TYPE_CHECKING:
    from openthoughts_cli.engine.local.sampler import LocalSampler, SamplingLane
    from openthoughts_cli.engine.local.trainer import LocalTrainer
    from openthoughts_cli.engine.local.weights import Base

__all__ = ["LocalEngine"]

T = TypeVar("T")


class LocalEngine:
    """See `engine.base.Engine`.

    Args:
        config: device, precision and token budgets.
        store: the directory for checkpoints: states/<name> and samplers/<name>.
        listener: hears models being fetched and loaded, and what an adapter leaves out.

    Raises:
        MissingExtraError: torch, transformers or peft is not installed.
    """

    kind = "local"
    costs_money = False

    def __init__(self, config: EngineConfig, *, store: Path, listener: Listener = silent) -> None:
        _require_packages()
        _quiet_waiting()
        from openthoughts_cli.engine.local.sampler import SamplingLane

        self._config = config
        self._store = store
        self._listener = listener
        self._turns = Turns()
        self._training = Lane("ot-local-training")
        self._sampling: SamplingLane = SamplingLane(self._turns, "ot-local-sampling")
        self._bases: dict[str, Base] = {}
        self._loading = threading.Lock()

    @property
    def deterministic(self) -> bool:
        """On the CPU, training repeats bit for bit, and so do samples that are asked for together.

        Samples that run beside others than before may differ in the last bits of their scores, and
        so, rarely, in a token.
        """
        from openthoughts_cli.engine.local.weights import choose_device

        return choose_device(self._config).type == "cpu"

    def models(self) -> Answer[tuple[ModelInfo, ...]]:
        """The built-in model and those that are loaded."""
        known = {BUILT_IN.name: BUILT_IN}
        known |= {base.info.name: base.info for base in tuple(self._bases.values())}
        answer: Answer[tuple[ModelInfo, ...]] = Answer()
        answer.give(tuple(known.values()))
        return answer

    def describe(self, model: str, *, train: bool = False) -> Answer[ModelInfo]:
        """Reads config.json alone; raises what `fetch.model_dir` raises.

        Whether a model has layers that can be trained is seen when it is loaded.
        """
        del train
        return self._sampling.submit(lambda: describe(model))

    def create_trainer(self, model: str, lora: LoraSpec) -> Answer[LocalTrainer]:
        """Raises, when awaited, what `fetch.model_dir` raises; `ModelError` without layers."""

        def create() -> LocalTrainer:
            base = self._base(model)
            with self._turns.training():
                return self._new_trainer(base, lora)

        return self._training.submit(_saying_memory(create))

    def resume_trainer(self, state_path: str) -> Answer[LocalTrainer]:
        """Raises `ModelError` when there is no state at the path."""

        def resume() -> LocalTrainer:
            from openthoughts_cli.engine.local.checkpoint import read_state

            state = read_state(Path(state_path))
            base = self._base(state.model)
            with self._turns.training():
                trainer = self._new_trainer(base, state.lora)
                trainer.restore(state)
            return trainer

        return self._training.submit(_saying_memory(resume))

    def create_sampler(
        self, model: str | None = None, *, sampler_path: str | None = None
    ) -> Answer[LocalSampler]:
        """`sampler_path` may be any folder in PEFT's format.

        Raises:
            EngineError: not exactly one of the two is given.
            ModelError: no such model, or no adapter at the path.
        """

        def create() -> LocalSampler:
            if (model is None) == (sampler_path is None):
                raise EngineError("a sampler needs a model or a sampler_path, and not both")
            if sampler_path is not None:
                return self._adapted_sampler(Path(sampler_path))
            assert model is not None
            return self._new_sampler(self._base(model), None)

        return self._sampling.submit(_saying_memory(create))

    async def close(self) -> None:
        """End both threads after the piece of work in hand; requests not done fail."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._training.close()
        self._sampling.close()
        self._bases.clear()

    async def __aenter__(self) -> LocalEngine:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def _base(self, model: str) -> Base:
        """The base model, fetched and loaded at its first use; called in either lane."""
        from openthoughts_cli.engine.local.weights import load_base

        with self._loading:
            source = locate(model, self._listener)
            key = str(source.folder)
            if key not in self._bases:
                stage = f"loading {model}"
                self._listener(StageStarted(stage, unit="models"))
                base = load_base(model, source, self._config)
                self._bases[key] = base
                millions = base.model.num_parameters() / 1e6
                precision = str(base.model.dtype).removeprefix("torch.")
                summary = f"{millions:,.0f}M parameters, {precision} on {base.device.type}"
                self._listener(StageDone(stage, summary))
            return self._bases[key]

    def _new_trainer(self, base: Base, lora: LoraSpec) -> LocalTrainer:
        from openthoughts_cli.engine.local.trainer import LocalTrainer
        from openthoughts_cli.engine.local.weights import lora_config

        config, left_out = lora_config(base, lora)
        for reason in left_out:
            self._listener(Notice(f"{base.info.name}: {reason}"))
        return LocalTrainer(
            base,
            base.add_adapter(config, seed=lora.seed),
            lora,
            lane=self._training,
            turns=self._turns,
            store=self._store,
            micro_batch_tokens=self._config.micro_batch_tokens,
        )

    def _adapted_sampler(self, path: Path) -> LocalSampler:
        from openthoughts_cli.engine.local.checkpoint import read_sampler
        from openthoughts_cli.engine.local.weights import read_adapter_config

        model, weights = read_sampler(path)
        config = read_adapter_config(path)
        base = self._base(model or str(config.base_model_name_or_path))
        with self._turns.sampling():
            adapter = base.add_adapter(config, seed=0)
            base.set_adapter_weights(adapter, weights)
        return self._new_sampler(base, adapter)

    def _new_sampler(self, base: Base, adapter: str | None) -> LocalSampler:
        from openthoughts_cli.engine.local.sampler import LocalSampler

        return LocalSampler(
            base, adapter, lane=self._sampling, budget_tokens=self._config.sample_batch_tokens
        )


def _saying_memory(work: Callable[[], T]) -> Callable[[], T]:
    def run() -> T:
        from openthoughts_cli.engine.local.memory import memory_errors

        with memory_errors():
            return work()

    return run


def _require_packages() -> None:
    missing = [
        name for name in ("torch", "transformers", "peft") if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise MissingExtraError(
            f"the local engine needs {', '.join(missing)}, which this environment lacks",
            hint="pip install 'openthoughts-cli[local]', or use --engine tinker",
        )


def _quiet_waiting() -> None:
    # Two threads compute in turn, each with OpenMP helpers of its own; helpers that spin while
    # they wait would take the cores from the others. Read once, when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")

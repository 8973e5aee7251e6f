"""The parts of `benchmarks/training.py` that need torch or a terminal."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.training_ways import make_run, our_loop, some_rows
from openthoughts_cli.cli.console import Console
from openthoughts_cli.cli.render.train_view import open_train_view
from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.engine.base import ModelInfo
from openthoughts_cli.events import (
    CheckpointSaved,
    EvalDone,
    EvalProgress,
    EvalStarted,
    Event,
    RunStarted,
    StepDone,
)
from openthoughts_cli.training.examples import Packed
from tests.doubles.tiny_llama import save_tiny_llama

__all__ = ["local_rates", "view_cost"]

VOCAB, STEPS, BATCH = 8192, 5, 8


def local_rates(folder: Path, rounds: int = 3) -> tuple[list[float], list[float]]:
    """Seconds a step: ours and a bare loop's, in turns, on the same batches of 96-256 tokens."""
    model = save_tiny_llama(
        folder, vocab_size=VOCAB, hidden_size=384, intermediate_size=1024, num_hidden_layers=6,
        num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=1024,
        initializer_range=0.02,
    )  # fmt: skip
    rows = [
        Packed(row.tokens[: 96 + 23 * (number % 8)], row.prompt_length)
        for number, row in enumerate(some_rows(64, 257, VOCAB))
    ]
    ours: list[float] = []
    bare: list[float] = []
    for number in range(rounds):
        seconds, loss = _ours(model, rows, folder / f"run-{number}")
        bare_seconds, bare_loss = _bare(model, rows)
        assert abs(loss - bare_loss) < 1e-3 * bare_loss, (loss, bare_loss)
        ours.append(seconds)
        bare.append(bare_seconds)
    return ours, bare


def _ours(model: Path, rows: list[Packed], folder: Path) -> tuple[float, float]:
    """Seconds a step, and the first step's loss."""
    from openthoughts_cli.engine.local import LocalEngine

    run = make_run(
        ModelInfo(str(model), 1024), rows, steps=STEPS + 1, batch_size=BATCH, epochs=1, lora_rank=16
    )
    times: list[float] = []
    losses: list[float] = []

    def hear(event: Event) -> None:
        if isinstance(event, StepDone):
            times.append(time.perf_counter())
            losses.append(event.train_mean_nll)

    async def train() -> None:
        config = EngineConfig(kind="local", device="cpu", dtype="float32")
        async with LocalEngine(config, store=folder / "checkpoints") as engine:
            await our_loop(engine, run, folder, listener=hear)

    asyncio.run(train())
    return (times[-1] - times[0]) / STEPS, losses[0]


def _bare(folder: Path, rows: list[Packed]) -> tuple[float, float]:
    """The same of the loop that one writes by hand."""
    import peft
    import torch
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    config = peft.LoraConfig(
        r=16, lora_alpha=32, task_type="CAUSAL_LM",
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    )  # fmt: skip
    model = peft.get_peft_model(base, config)
    model.train()
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-3, betas=(0.9, 0.95), eps=1e-12, weight_decay=0.0)
    started = 0.0
    losses: list[float] = []
    for step in range(STEPS + 1):
        if step == 1:
            started = time.perf_counter()
        some = [rows[(step * BATCH + i) % len(rows)] for i in range(BATCH)]
        width = max(len(row.tokens) for row in some)
        tokens = np.zeros((BATCH, width), np.int64)
        labels = np.full((BATCH, width), -100, np.int64)
        mask = np.zeros((BATCH, width), np.int64)
        for line, row in enumerate(some):
            tokens[line, : len(row.tokens)] = row.tokens
            labels[line, row.prompt_length : len(row.tokens)] = row.tokens[row.prompt_length :]
            mask[line, : len(row.tokens)] = 1
        loss = model(
            input_ids=torch.from_numpy(tokens),
            attention_mask=torch.from_numpy(mask),
            labels=torch.from_numpy(labels),
        ).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return (time.perf_counter() - started) / STEPS, losses[0]


def view_cost(seconds: float = 12.0) -> float:
    """Processor seconds a second of the live view, beside the same events heard by nobody."""
    return max(_heard(seconds, live=True) - _heard(seconds / 3, live=False), 0.0)


def _heard(seconds: float, *, live: bool) -> float:
    """A run in its middle: 300 steps done, one more and four answers a second."""
    before = {name: os.environ.get(name) for name in ("COLUMNS", "LINES", "FORCE_COLOR", "TERM")}
    os.environ.update(COLUMNS="80", LINES="24", FORCE_COLOR="1", TERM="xterm-256color")
    stderr = sys.stderr
    try:
        with Path(os.devnull).open("w") as nowhere:
            sys.stderr = nowhere
            console: Any = Console(plain=not live, quiet=not live)
            assert console.live == live
            with open_train_view(console) as listener:
                listener(RunStarted("2026-11-24-a-run", "runs/a", 2000, 400, "smollm2", "local"))
                for step in range(1, 300):
                    listener(_step(step))
                listener(EvalStarted("arithmetic", 300, 10_000))
                listener(EvalDone("nll", 300, {"mean": 1.5}))
                listener(CheckpointSaved("step-000300", 301, 0.7, "a", None))
                began, cpu = time.monotonic(), time.process_time()
                answers = 0
                while time.monotonic() - began < seconds:
                    answers += 1
                    listener(EvalProgress("arithmetic", 300, answers, 10_000, {"mean@1": 0.2}))
                    if answers % 4 == 0:
                        listener(_step(300 + answers // 4))
                    time.sleep(0.25)
                return (time.process_time() - cpu) / (time.monotonic() - began)
    finally:
        sys.stderr = stderr
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _step(number: int) -> StepDone:
    loss = 1.0 + 1.0 / (1 + number / 50)
    return StepDone(number, 2000, number / 400, 1e-3, 2048, 1800, loss, 1.0, {"queue_depth": 2.0})

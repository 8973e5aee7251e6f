"""The plan of the reference recipe at 500 rows: exact figures, ranges, dollars, advice; no spending."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openthoughts_cli.engine.base import ModelInfo
from tests.doubles.memory_engine import MemoryEngine
from tests.doubles.tinker_server import KEY, TinkerServer
from tests.e2e.conftest import RunOt
from tests.e2e.test_eval_journeys import QWEN, aime_rows, gpqa_rows, lcb_rows, write_rows

pytestmark = pytest.mark.slow


def test_the_dry_run_of_the_reference_recipe(run_ot: RunOt, repo: Path, tmp_path: Path) -> None:
    cut = run_ot(
        "subset", "--dataset", "sample", "--source", "openmath", "--max-tokens", 8192, "--limit",
        500, "--name", "reference", "--tokenizer", QWEN,
    )  # fmt: skip
    assert cut.code == 0, cut.err
    rows = {"aime25": aime_rows(30), "gpqa": gpqa_rows(50), "livecodebench": lcb_rows(30)}
    data = [
        word
        for name, some in rows.items()
        for word in ("--set", f"evals.{name}.data={write_rows(tmp_path / f'{name}.jsonl', some)}")
    ]
    served = (ModelInfo(QWEN, 32_768),)
    with TinkerServer(lambda: MemoryEngine(served, vocab_size=151_936)) as server:
        command = (
            "train", "--config", repo / "configs/train/reference.yaml", "--subset", "reference",
            "--dry-run", *data,
        )  # fmt: skip
        env = {"TINKER_BASE_URL": server.url, "TINKER_API_KEY": KEY, "COLUMNS": "100"}
        shown = run_ot(*command, env=env)
        assert shown.code == 0, shown.err
        plan = json.loads(run_ot(*command, "--json", env=env).out)["plan"]
        asked = [path for path in server.paths() if "forward" in path or "sample" in path]
    assert asked == []
    assert not (tmp_path / "runs").exists()
    print(shown.out)

    assert plan["train_rows"] + plan["held_out_rows"] == 500
    steps = 5 * -(-plan["train_rows"] // 32)
    assert plan["steps"] == steps
    assert plan["train_tokens"] > plan["loss_tokens"] > 0
    times = {item["each"]["name"]: item["times"] for item in plan["evals"]}
    every_ten = steps // 10 + (steps % 10 > 0)
    assert times == {"nll": steps // 5 + (steps % 5 > 0)} | dict.fromkeys(rows, every_ten)
    answers = every_ten * 7 * (30 + 50 + 30)
    assert plan["least_sampled_tokens"] == answers
    assert plan["most_sampled_tokens"] == answers * 16384
    assert 0 < plan["train_usd"] < plan["most_usd"]
    said = shown.out + shown.err
    for part in (
        "450 train, 50 held out", f"{steps} of 32 rows, at most 5 epochs", "stored for 168 hours",
        "the final one until you delete it", "training + at most", "(prices of 20",
        "below about 100, a LoRA run is rarely conclusive",
    ):  # fmt: skip
        assert part in " ".join(said.split()), part

"""How many cells this machine takes: free memory in a container, and who gets which GPU."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from openthoughts_cli.config.sweep import SweepConfig
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.sweeps.capacity import cells_at_once, cores, free_memory_bytes
from openthoughts_cli.sweeps.launch import CellJob
from openthoughts_cli.sweeps.launch_processes import ProcessLauncher


def system(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return root


MEMINFO = "MemTotal: 16000000 kB\nMemAvailable: 8000000 kB\nHugePages_Total:\n"
GROUP = {
    "proc/meminfo": MEMINFO,
    "sys/fs/cgroup/memory.max": "6000000000\n",
    "sys/fs/cgroup/memory.current": "5500000000\n",
    "sys/fs/cgroup/memory.stat": "anon 900000000\nfile 4600000000\ninactive_file 4500000000\n",
}


def test_files_that_were_read_are_free_memory_of_a_container(tmp_path: Path) -> None:
    assert free_memory_bytes(system(tmp_path / "a", GROUP)) == 5_000_000_000
    unlimited = {**GROUP, "sys/fs/cgroup/memory.max": "max\n"}
    assert free_memory_bytes(system(tmp_path / "b", unlimited)) == 8_192_000_000
    only_the_group = {name: text for name, text in GROUP.items() if name != "proc/meminfo"}
    assert free_memory_bytes(system(tmp_path / "c", only_the_group)) == 5_000_000_000
    assert free_memory_bytes(system(tmp_path / "d", {"proc/meminfo": "?"})) is None


def config(device: str = "auto") -> TrainConfig:
    return TrainConfig.model_validate(
        {"subset": "s", "engine": {"kind": "local", "device": device}}
    )


def job(device: str = "auto") -> CellJob:
    return cast("CellJob", SimpleNamespace(config=config(device)))


def test_cells_beyond_the_gpus_share_them_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    launcher: Any = ProcessLauncher(4)
    with contextlib.ExitStack() as cells:
        taken = [cells.enter_context(launcher._gpu(job())) for _ in range(4)]
        assert taken == ["GPU-a", "GPU-b", "GPU-a", "GPU-b"]
        assert cells.enter_context(launcher._gpu(job("cpu"))) is None
    with launcher._gpu(job()) as first, launcher._gpu(job()) as second:
        assert (first, second) == ("GPU-a", "GPU-b")


def test_a_cell_a_gpu_and_by_cores_where_none_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4")
    sweep = SweepConfig()
    assert cells_at_once(sweep, [config()] * 8) == 5
    assert 1 <= cells_at_once(sweep, [config("cpu")] * 8) <= cores()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert 1 <= cells_at_once(sweep, [config()] * 8) <= cores()

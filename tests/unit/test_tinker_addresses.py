"""The key goes to servers that its owner named, and to no address that came with somebody's run."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.config.benchmark import BenchmarkConfig
from openthoughts_cli.config.engine import EngineConfig
from openthoughts_cli.config.eval import EvalConfig
from openthoughts_cli.config.train import TrainConfig
from openthoughts_cli.engine.tinker import TinkerEngine
from openthoughts_cli.engine.tinker.addresses import refuse_foreign, remember
from openthoughts_cli.errors import OtError, UsageError
from openthoughts_cli.evals.resolve import resolve_config
from openthoughts_cli.places import runs_dir, state_dir
from openthoughts_cli.runs.layout import RunDirectory
from openthoughts_cli.store import append_line
from openthoughts_cli.training.verb import resume_training
from tests.doubles.loopback_http import HttpRequest, HttpResponse, LoopbackServer
from tests.doubles.tinker_server import KEY, TinkerServer

Call = Callable[..., Any]
COMMANDS = (
    ("runs", "export", "theirs"),
    ("train", "--resume", "theirs", "--yes"),
    ("eval", "--run", "theirs", "-b", "arithmetic", "--yes"),
)


class Stranger(LoopbackServer):
    """Knows no route, and keeps what it was sent."""

    def __init__(self) -> None:
        self.heard: list[HttpRequest] = []
        super().__init__(self._hear)

    async def _hear(self, request: HttpRequest) -> HttpResponse:
        self.heard.append(request)
        return HttpResponse(404, b"{}")


@pytest.fixture
def stranger() -> Generator[Stranger]:
    server = Stranger()
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TINKER_API_KEY", KEY)


def run_at(address: str | None, *, kind: str = "tinker") -> RunDirectory:
    """A run as somebody may send it: whatever its record says, with a checkpoint on a service."""
    run = RunDirectory(runs_dir() / "theirs")
    engine = EngineConfig.model_validate({"kind": kind, "base_url": address})
    config = TrainConfig(subset="small", model="tiny/bigram", engine=engine)
    run.write_config(config.model_dump(mode="json"), {"model": {"name": "tiny/bigram"}})
    path = "tinker://00000000-0000-0000-0000-000000000000:train:0"
    line = {"name": "final", "batch": 2, "state_path": f"{path}/weights/final", "final": True}
    append_line(run.checkpoints_path, {**line, "sampler_path": f"{path}/sampler_weights/final"})
    return run


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words[:2]))
def test_no_command_speaks_to_a_server_that_only_a_record_names(
    ot: Call, stranger: Stranger, command: tuple[str, ...]
) -> None:
    run_at(stranger.url)
    ended = ot(*command)
    assert ended.code == 2, ended.err
    said = " ".join(ended.err.split())
    assert f"names a Tinker server that you have not named yet, {stranger.url}" in said
    assert f"TINKER_BASE_URL={stranger.url}" in said
    assert stranger.heard == []


@pytest.mark.slow
def test_a_push_speaks_to_none_either(stranger: Stranger) -> None:
    run_at(stranger.url)
    pushed = subprocess.run(
        [sys.executable, "-m", "openthoughts_cli", "push", "theirs", "me/weights"],
        env={**os.environ, "HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_x", "HF_ENDPOINT": stranger.url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert pushed.returncode == 2, pushed.stderr
    assert "you have not named yet" in " ".join(pushed.stderr.split())
    assert stranger.heard == []


def test_a_record_that_says_local_opens_no_way_round(ot: Call, stranger: Stranger) -> None:
    run_at(stranger.url, kind="local")
    assert ot("runs", "export", "theirs").code == 2
    assert stranger.heard == []


def test_python_is_refused_as_the_command_line_is(stranger: Stranger) -> None:
    run = run_at(stranger.url)
    with pytest.raises(UsageError, match="not named yet"):
        resume_training("theirs")
    with pytest.raises(UsageError, match="not named yet"):
        resolve_config(EvalConfig(run="theirs", benchmarks={"arithmetic": BenchmarkConfig()}), run)
    assert stranger.heard == []


@pytest.mark.parametrize("how", ["--base-url", "--set", "TINKER_BASE_URL", "OT_TRAIN"])
def test_a_server_that_is_named_now_is_spoken_to(
    ot: Call, stranger: Stranger, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    run_at(stranger.url)
    words: dict[str, tuple[str, ...]] = {
        "--base-url": ("--base-url", stranger.url),
        "--set": ("--set", f"engine.base_url={stranger.url}"),
    }
    if how == "TINKER_BASE_URL":
        monkeypatch.setenv(how, f"{stranger.url}/")
    elif how == "OT_TRAIN":
        monkeypatch.setenv("OT_TRAIN__ENGINE__BASE_URL", stranger.url)
    ended = ot("train", "--resume", "theirs", "--yes", *words.get(how, ()))
    assert "not named yet" not in ended.err


def test_a_server_that_answered_is_known_the_next_day() -> None:
    with TinkerServer() as server:
        engine = EngineConfig(kind="tinker", base_url=server.url)
        with pytest.raises(UsageError, match="not named yet"):
            refuse_foreign(engine, "mine")

        async def use() -> None:
            async with TinkerEngine(engine) as opened:
                await opened.models()

        asyncio.run(use())
    refuse_foreign(engine, "mine")
    refuse_foreign(EngineConfig(kind="tinker", base_url=f"{server.url}/"), "mine")
    with pytest.raises(UsageError):
        refuse_foreign(EngineConfig(kind="tinker", base_url=f"{server.url}0"), "mine")
    [file] = state_dir().iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert KEY not in file.read_text()
    before = file.read_bytes()
    remember(server.url)
    assert file.read_bytes() == before


def test_a_server_that_never_answered_is_not_remembered() -> None:
    engine = EngineConfig(kind="tinker", base_url="http://127.0.0.1:9")

    async def use() -> None:
        async with TinkerEngine(engine) as opened:
            await opened.models()

    with pytest.raises(OtError, match="cannot be reached"):
        asyncio.run(use())
    assert not state_dir().exists()


def test_what_others_could_have_written_is_no_memory() -> None:
    engine = EngineConfig(kind="tinker", base_url="http://10.0.0.5:8000")
    remember("http://10.0.0.5:8000/")
    refuse_foreign(engine, "mine")
    [file] = state_dir().iterdir()
    file.chmod(0o666)
    with pytest.raises(UsageError):
        refuse_foreign(engine, "mine")


def test_a_place_that_cannot_be_written_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("OT_STATE", str(tmp_path / "file" / "state"))
    remember("http://10.0.0.5:8000")
    with pytest.raises(UsageError):
        refuse_foreign(EngineConfig(kind="tinker", base_url="http://10.0.0.5:8000"), "mine")


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("tinker", None),
        ("tinker", "https://tinker.thinkingmachines.dev/services/tinker-prod/"),
        ("local", "http://10.0.0.5:8000"),
    ],
)
def test_the_service_and_the_local_engine_need_no_naming(kind: str, address: str | None) -> None:
    refuse_foreign(EngineConfig.model_validate({"kind": kind, "base_url": address}), "mine")


def test_an_address_made_for_a_shell_is_quoted_in_the_hint() -> None:
    engine = EngineConfig(kind="tinker", base_url="http://a; rm -rf ~")
    with pytest.raises(UsageError) as caught:
        refuse_foreign(engine, "theirs")
    assert "TINKER_BASE_URL='http://a; rm -rf ~' " in str(caught.value.hint)


def test_the_address_that_is_named_wins_over_the_record_s() -> None:
    run = run_at("http://10.0.0.5:8000")
    config = EvalConfig(
        run="theirs",
        engine=EngineConfig(base_url="http://10.0.0.6:8000"),
        benchmarks={"arithmetic": BenchmarkConfig()},
    )
    engine = resolve_config(config, run).engine
    assert (engine.kind, engine.base_url) == ("tinker", "http://10.0.0.6:8000")


def test_code_and_consent_of_a_record_count_for_nothing_in_an_evaluation() -> None:
    run = run_at(None)
    recorded = run.read_config()
    settings = BenchmarkConfig(unsafe_no_sandbox=True).model_dump(mode="json")
    run.write_config(recorded | {"evals": {"livecodebench": settings}}, run.read_record())
    [found] = resolve_config(EvalConfig(run="theirs"), run).benchmarks.values()
    assert not found.unsafe_no_sandbox
    run.write_config(recorded | {"evals": {"/theirs/own.py:Own": settings}}, run.read_record())
    with pytest.raises(UsageError, match=r"own\.py:Own, which would be run") as caught:
        resolve_config(EvalConfig(run="theirs"), run)
    assert "-b /theirs/own.py:Own" in str(caught.value.hint)

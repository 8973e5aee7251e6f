"""Completion as the shells ask for it: each shell's own variables in, its own lines out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from openthoughts_cli.cli.complete_config import words_of_bash
from tests.conftest import CommandResult

Ot = Callable[..., CommandResult]

OFFERED = [
    (["train", "--lora-r"], ["--lora-rank"]),
    (["train", "--subset", "al"], ["alpha"]),
    (["train", "--resume", ""], ["first"]),
    (["runs", "show", "fi"], ["first"]),
    (["eval", "-b", "li"], ["livecodebench"]),
    (["subset", "--source", "op"], ["openmath", "opencode"]),
    (["train", "--set", "engine.d"], ["engine.device=", "engine.dtype="]),
    (["train", "--set", "batch_s"], ["batch_size=", "batch_size=32"]),
    (
        ["eval", "--set", "benchmarks.gpqa.p"],
        ["benchmarks.gpqa.prompt=", "benchmarks.gpqa.prompt=..."],
    ),
    (
        ["config", "show", "train", "--set", "lora_a"],
        ["lora_attn=", "lora_attn=true", "lora_attn=false"],
    ),
]
VALUES = [
    (["train", "--set", "engine.device=c"], ["cpu", "cuda"]),
    (["train", "--set=engine.device=c"], ["cpu", "cuda"]),
    (["train", "--set", "subset="], ["alpha"]),
    (["subset", "--set", "source=op"], ["openmath", "opencode"]),
    (["train", "--set", "lora_attn=f"], ["false"]),
    (["train", "--set", "nothing=x"], []),
]


@pytest.fixture(autouse=True)
def on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, name, file in (
        ("OT_SUBSETS", "alpha", "metadata.json"),
        ("OT_RUNS", "first", "config.json"),
    ):
        monkeypatch.setenv(variable, str(tmp_path / variable))
        (tmp_path / variable / name).mkdir(parents=True)
        (tmp_path / variable / name / file).write_text("{}")


def split_by_bash(words: list[str]) -> list[str]:
    """Readline ends a word at `=`, which is a word of its own."""
    found: list[str] = []
    for word in ["ot", *words]:
        parts = word.replace("=", "\n=\n").split("\n")
        found += [part for part in parts if part] or [""]
    return found


@pytest.mark.parametrize(("words", "offered"), OFFERED + VALUES)
def test_bash_is_offered_what_replaces_its_last_word(
    ot: Ot, monkeypatch: pytest.MonkeyPatch, words: list[str], offered: list[str]
) -> None:
    split = split_by_bash(words)
    monkeypatch.setenv("_OT_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "\n".join(split))
    monkeypatch.setenv("COMP_CWORD", str(len(split) - 1))
    ended = ot()
    assert (ended.out.split(), ended.err) == (offered, "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
@pytest.mark.parametrize(("words", "offered"), OFFERED + VALUES)
def test_zsh_and_fish_are_offered_whole_words(
    ot: Ot, monkeypatch: pytest.MonkeyPatch, shell: str, words: list[str], offered: list[str]
) -> None:
    monkeypatch.setenv("_OT_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", " ".join(["ot", *words]))
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    ended = ot()
    key = words[-1].removeprefix("--set=").partition("=")[0]
    whole = [f"{key}={value}" if (words, offered) in VALUES else value for value in offered]
    assert all(word in ended.out for word in whole), ended.out
    assert whole or "nothing=" not in ended.out
    assert ended.err == ""


def test_words_that_bash_did_not_split_are_left_alone() -> None:
    environ = {"_OT_COMPLETE": "complete_bash", "COMP_WORDS": "ot tr", "COMP_CWORD": "1"}
    with words_of_bash(environ):
        assert environ["COMP_WORDS"] == "ot tr"


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_script_works_in_bash(tmp_path: Path, repo: Path) -> None:
    program = tmp_path / "bin" / "ot"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m openthoughts_cli "$@"\n')
    program.chmod(0o755)
    script = """
        eval "$(ot --show-completion bash)"
        COMP_WORDS=(ot train --set engine.device = c); COMP_CWORD=5
        _ot_completion ot
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={
            **os.environ,
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(repo),
            "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["cpu", "cuda"], done.stderr

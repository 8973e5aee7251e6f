"""Help, completion and mistakes answer at once: none of the heavy packages is imported for them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from openthoughts_cli.cli.app import VERBS
from tests.doubles.tokenizer import byte_model

HEAVY = {
    "datasets",
    "huggingface_hub",
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "streamlit",
    "tinker",
    "tokenizers",
    "torch",
    "transformers",
    "wandb",
}
RUN = """
import sys
from openthoughts_cli.__main__ import main
code = main(sys.argv[1:])
print("MODULES", *{name.split(".")[0] for name in sys.modules}, file=sys.stderr)
sys.exit(code)
"""


def run(*args: str, **environ: str) -> tuple[int, str, set[str]]:
    done = subprocess.run(
        [sys.executable, "-c", RUN, *args],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "80", **environ},
        check=False,
    )
    line = [text for text in done.stderr.splitlines() if text.startswith("MODULES")]
    return done.returncode, done.stdout + done.stderr, set(line[-1].split()) if line else set()


def test_root_help_imports_nothing_heavy_and_no_pydantic() -> None:
    code, _, modules = run("--help")
    assert code == 0
    assert not modules & (HEAVY | {"pydantic", "ruamel"})


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_imports_nothing_heavy(verb: str) -> None:
    code, text, modules = run(verb, "--help")
    assert code == 0, text
    assert not modules & HEAVY


@pytest.mark.parametrize(
    "args",
    [
        ["subst"],
        ["--versoin"],
        ["config", "show", "trian"],
        ["config", "show", "train", "--config", "there-is-no-such.yaml"],
        ["config", "show", "train", "--set", "learning_raet=1"],
    ],
    ids=" ".join,
)
def test_a_mistake_imports_nothing_heavy(args: list[str]) -> None:
    code, text, modules = run(*args)
    assert code == 2, text
    assert not modules & HEAVY


COMPLETE = """
import sys, os, atexit
atexit.register(lambda: print("MODULES", *{n.split(".")[0] for n in sys.modules}, file=sys.stderr))
from openthoughts_cli.__main__ import main
main([])
"""


def complete(words: str) -> tuple[list[str], set[str]]:
    done = subprocess.run(
        [sys.executable, "-c", COMPLETE],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "_OT_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        },
        check=False,
    )
    line = [text for text in done.stderr.splitlines() if text.startswith("MODULES")]
    return done.stdout.split("\n"), set(line[-1].split())


def test_completion_of_verbs_imports_nothing_heavy() -> None:
    offered, modules = complete("ot co")
    assert [word for word in offered if word] == ["compare", "config"]
    assert not modules & (HEAVY | {"ruamel"})


def test_completion_of_config_keys_knows_the_verb() -> None:
    offered, modules = complete("ot config show train --set engine.d")
    assert {word for word in offered if word} == {"engine.device=", "engine.dtype="}
    assert not modules & HEAVY


def test_a_subset_is_cut_without_pandas_datasets_or_polars(tmp_path: Path) -> None:
    model = str(byte_model(tmp_path / "model"))
    words = ["subset", "--dataset", "sample", "-n", "3", "--tokenizer", model]
    places = {"OT_SUBSETS": str(tmp_path / "subsets"), "OT_CACHE": str(tmp_path / "cache")}
    heavy = HEAVY - {"numpy", "pyarrow", "tokenizers"}
    code, text, modules = run(*words, **places)
    assert code == 0, text
    assert not modules & heavy
    code, text, _ = run("index", "build", *words[1:3], *words[5:], **places)
    assert code == 0, text
    code, text, modules = run(*words, "--name", "again", **places)
    assert code == 0, text
    assert not modules & heavy
    assert "gigatoken" not in modules

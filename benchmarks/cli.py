"""Whole-process time of help and completion, against a bare Typer app with the same options.

    python benchmarks/cli.py [--rounds 15] [--json FILE]

The bare app is generated from `ot`'s own commands: the same names, options, types and help texts, one
file, no lazy loading, functions that do nothing. That is the least a Typer program with this surface
can take. The help of peers that are installed is timed beside it. All commands of a round run one
after the other, so that a busy machine slows all alike; ratios of medians are printed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from openthoughts_cli.cli.app import VERBS, load_verb

PEERS = {
    "huggingface_hub (hf --help)": (
        "huggingface_hub",
        [sys.executable, "-m", "huggingface_hub.cli.hf", "--help"],
    ),
    "wandb (wandb --help)": ("wandb", [sys.executable, "-m", "wandb", "--help"]),
    "tinker (tinker --help)": ("tinker", [sys.executable, "-m", "tinker.cli", "--help"]),
    "streamlit (streamlit --help)": ("streamlit", [sys.executable, "-m", "streamlit", "--help"]),
}


def bare_app() -> str:
    """Source of a Typer app with the commands and options of `ot` and nothing behind them."""
    lines = [
        "from __future__ import annotations",
        "from typing import Annotated, Optional",
        "import typer",
        "app = typer.Typer(no_args_is_help=True)",
    ]
    for verb in VERBS.values():
        command: Any = load_verb(verb)
        inner = getattr(command, "commands", None)
        if inner:
            lines.append(f"{verb.name} = typer.Typer(help={verb.help!r}, no_args_is_help=True)")
            lines.append(f"app.add_typer({verb.name}, name={verb.name!r})")
            for name, sub in inner.items():
                lines += _function(sub, f"{verb.name}_{name}", f"{verb.name}.command({name!r})")
        else:
            lines += _function(command, verb.name, f"app.command({verb.name!r})")
    lines.append("if __name__ == '__main__': app(prog_name='bare')")
    return "\n".join(lines) + "\n"


def _function(command: Any, name: str, decorator: str) -> list[str]:
    parameters = []
    for number, param in enumerate(p for p in command.params if p.name != "help"):
        flag = getattr(param, "is_flag", False)
        kind = "bool" if flag else "Optional[str]"
        help_text = " ".join((getattr(param, "help", None) or "").split())
        if param.param_type_name == "argument":
            made = f"typer.Argument(help={help_text!r})"
        else:
            opts = ", ".join(repr(opt) for opt in [*param.opts, *param.secondary_opts])
            made = f"typer.Option({opts}, help={help_text!r})"
        parameters.append(f"    p{number}: Annotated[{kind}, {made}] = {False if flag else None},")
    return [
        f"@{decorator}",
        f"def f_{name.replace('-', '_')}(",
        *parameters,
        "):",
        f"    {(command.help or '')!r}",
    ]


def seconds(argv: list[str], environ: dict[str, str]) -> float:
    """Wall time of one whole process, its output thrown away."""
    began = time.perf_counter()
    done = subprocess.run(
        argv, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    took = time.perf_counter() - began
    if done.returncode not in (0, 2):
        raise SystemExit(f"{argv} ended with {done.returncode}: {done.stderr.decode()[-400:]}")
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare.py"
        bare.write_text(bare_app())
        subprocess.run([sys.executable, "-m", "compileall", "-q", folder], check=True)
        # Both sides start from byte code: a script's own file is never cached, so each is imported.
        start = (
            f"import sys; sys.path.insert(0, {folder!r}); import bare; bare.app(prog_name='bare')"
        )
        ours = [
            sys.executable,
            "-c",
            "import sys; from openthoughts_cli.__main__ import main; sys.exit(main())",
        ]
        theirs = [sys.executable, "-c", start]
        plain = dict(os.environ)
        plain.update(COLUMNS="80", PYTHONWARNINGS="ignore")
        jobs: dict[str, tuple[list[str], list[str], dict[str, str], dict[str, str]]] = {
            "root help": ([*ours, "--help"], [*theirs, "--help"], plain, plain),
            "train --help": (
                [*ours, "train", "--help"],
                [*theirs, "train", "--help"],
                plain,
                plain,
            ),
            "runs --help": ([*ours, "runs", "--help"], [*theirs, "runs", "--help"], plain, plain),
            "completion of a verb": (
                ours,
                theirs,
                _completing("OT", "ot tr"),
                _completing("BARE", "bare tr"),
            ),
            "completion of an option": (
                ours,
                theirs,
                _completing("OT", "ot train --ba"),
                _completing("BARE", "bare train --ba"),
            ),
            "a misspelt option": (
                [*ours, "train", "--sed"],
                [*theirs, "train", "--sed"],
                plain,
                plain,
            ),
        }
        times: dict[str, list[float]] = {}
        peers = {n: argv for n, (module, argv) in PEERS.items() if _works(module, argv, plain)}
        for round_number in range(options.rounds + 1):
            for name, (mine, other, my_env, other_env) in jobs.items():
                pair = (seconds(mine, my_env), seconds(other, other_env))
                if round_number:  # the first round fills the file cache
                    times.setdefault(name, []).append(pair[0])
                    times.setdefault(f"{name}, bare", []).append(pair[1])
            for name, argv in peers.items():
                took = seconds(argv, plain)
                if round_number:
                    times.setdefault(name, []).append(took)
    median = {name: statistics.median(values) for name, values in times.items()}
    print("| what | ot / bare Typer app | goal |\n|---|---|---|")
    for name in jobs:
        print(f"| {name} | {median[name] / median[f'{name}, bare']:.2f} | at most 1.30 |")
    print("\n| peer | its help / ot's root help |\n|---|---|")
    for name in peers:
        print(f"| {name} | {median[name] / median['root help']:.1f} |")
    if options.json:
        options.json.write_text(
            json.dumps({"rounds": options.rounds, "median_s": median}, indent=2)
        )


def _completing(program: str, words: str) -> dict[str, str]:
    return {
        **os.environ,
        f"_{program}_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }


def _works(module: str, argv: list[str], environ: dict[str, str]) -> bool:
    if importlib.util.find_spec(module) is None:
        return False
    return subprocess.run(argv, env=environ, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    main()

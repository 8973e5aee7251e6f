"""Keys are planted in the environment, whole journeys are run, and every byte left behind is read.

The journeys: a subset; training with W&B offline, on this machine and on the scripted Tinker server;
a sweep there, and its ranking; an export, and its push to a hub; the explorer; the doctor; programs
in the sandbox that look for the keys; pages about the runs; a server that quotes the key back in
its error; an address with a password; a bug that quotes a key.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

from openthoughts_cli.chat.renderer import load_renderer
from openthoughts_cli.engine.base import ModelInfo
from openthoughts_cli.places import cache_dir
from tests.doubles.dataset_hub import DatasetHub, dataset_hub
from tests.doubles.memory_engine import MemoryEngine
from tests.doubles.tinker_server import TinkerServer
from tests.e2e.test_eval_journeys import lcb_rows
from tests.tools.warm_ot import WarmStart

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.timeout(600)]

QWEN = "Qwen/Qwen3-4B-Instruct-2507"
REPOSITORY = Path(__file__).parents[2]
SECRETS = {
    "TINKER_API_KEY": "tml-planted-Gr33nTurtle0001",
    "HF_TOKEN": "hf_plantedGr33nTurtle0002",
    "WANDB_API_KEY": "0f5ca7ed0f5ca7ed0f5ca7ed0f5ca7ed0f5ca7ed",
    "OPENAI_API_KEY": 'odd form: "Gr33n/Turtle" 0003',
    "DATABASE_URL": "postgres://planted:Gr33nTurtle0004@db.example/x",
}
IN_AN_ADDRESS = "Gr33nTurtle0005"
_PASSWORDS = (*SECRETS.values(), "Gr33nTurtle0004", IN_AN_ADDRESS)

LOOKS_FOR_KEYS = """
import glob, os, sys
seen = [repr(dict(os.environ)).encode()]
for pattern in ('/proc/*/environ', '/proc/*/cmdline', '/tmp/**', '/dev/shm/**', '/etc/**', '/home/**'):
    for path in glob.glob(pattern, recursive=True):
        try: seen.append(path.encode() + open(path, 'rb').read(1 << 20))
        except OSError: pass
text = b' '.join(seen)
assert b'OPENBLAS_NUM_THREADS' in text
print('found' if any(word in text for word in (b'Turtle', b'tml-', b'hf_', b'0f5ca7ed')) else 4)
print(text[:2000], file=sys.stderr)
"""
"""Right (it prints 4) only where it finds no key; what it sees goes to stderr, and into the verdict."""

GRID = """
base: {batch_size: 4, epochs: 1, evals: {nll: {}}, wandb: {mode: disabled}}
subset: small
axes: {train.learning_rate: [1e-3, 1e-4]}
"""

CRASH = """
import os, sys
import openthoughts_cli.runs.layout as layout
def broken(root=None):
    raise RuntimeError('quoting ' + os.environ['HF_TOKEN'] + ' and ' + os.environ['OPENAI_API_KEY'])
layout.list_runs = broken
from openthoughts_cli.__main__ import main
sys.exit(main(['runs', 'ls']))
"""


def forms(secret: str) -> Iterator[bytes]:
    """The ways in which a value may stand in a file."""
    yield secret.encode()
    yield quote(secret, safe="").encode()
    yield quote(secret).encode()
    yield json.dumps(secret)[1:-1].encode()
    for text in (secret, f"api:{secret}", f":{secret}", f"planted:{secret}"):
        yield base64.b64encode(text.encode()).rstrip(b"=")[:-1]


NEEDLES = sorted({form for secret in _PASSWORDS for form in forms(secret)})


def leaks(root: Path) -> list[str]:
    """Each file under `root`, its own name included, that holds a planted value."""
    found: list[str] = []
    for path in sorted(root.rglob("*")):
        held = os.fsencode(path)
        if path.is_file() and not path.is_symlink():
            held += b"\n" + path.read_bytes()
        found += [f"{path}: {needle!r}" for needle in NEEDLES if needle in held]
    return found


@pytest.fixture
def hub(tmp_path_factory: pytest.TempPathFactory) -> Generator[DatasetHub]:
    """Takes pushes, and refuses one data set in words that quote what it was sent."""
    basic = base64.b64encode(f"planted:{IN_AN_ADDRESS}".encode()).decode()
    with dataset_hub({}) as hub:
        hub.root = tmp_path_factory.mktemp("hub")
        hub.admits = {f"Bearer {SECRETS['HF_TOKEN']}", f"Basic {basic}"}
        hub.quoting = {"someone/private"}
        yield hub


@pytest.fixture
def environ(tmp_path: Path, hub: DatasetHub) -> dict[str, str]:
    """The planted keys; every place that a program may write to by itself is in `tmp_path`."""
    load_renderer(QWEN)  # into the shared cache: the hub of these journeys has no models
    for name in ("home", "tmp", "cache"):
        (tmp_path / name).mkdir()
    for shared in ("tokenizers", "wheels", "said", "renderers"):  # public, and slow to make
        (tmp_path / "cache" / shared).symlink_to(cache_dir() / shared)
        (cache_dir() / shared).mkdir(parents=True, exist_ok=True)
    places = {f"OT_{place}" for place in ("RUNS", "SUBSETS", "INDEX", "SWEEPS", "STATE")}
    kept = {k: v for k, v in os.environ.items() if k not in places}
    del kept["WANDB_MODE"]
    return {
        **kept,
        **SECRETS,
        "HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path / "tmp"),
        "OT_CACHE": str(tmp_path / "cache"),
        "HF_HOME": str(tmp_path / "home/hf"),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_ENDPOINT": hub.url.replace("http://", f"http://planted:{IN_AN_ADDRESS}@"),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(REPOSITORY),
    }


@pytest.mark.parametrize("secret", [*SECRETS.values(), IN_AN_ADDRESS])
def test_a_leak_would_be_seen(tmp_path: Path, secret: str) -> None:
    basic = base64.b64encode(f"api:{secret}".encode()).decode()
    for number, text in enumerate((secret, json.dumps({"a": [secret]}), quote(secret), basic)):
        (tmp_path / f"{number}.txt").write_text(f"some {text} words")
    assert {line.partition(":")[0] for line in leaks(tmp_path)} == {
        str(tmp_path / f"{number}.txt") for number in range(4)
    }


def test_planted_keys_are_nowhere(
    tmp_path: Path, tiny_model: Path, environ: dict[str, str], hub: DatasetHub
) -> None:
    served = (ModelInfo(QWEN, 4096),)
    modules = (
        "openthoughts_cli.engine.local.engine",
        "peft",
        "openthoughts_cli.engine.tinker.engine",
    )
    key = SECRETS["TINKER_API_KEY"]
    with TinkerServer(lambda: MemoryEngine(served, vocab_size=151_936), key=key) as server:
        environ["TINKER_BASE_URL"] = server.url
        log = tmp_path / "said.txt"
        with WarmStart(tmp_path, modules=modules, env=environ, log=log) as warm:

            def ot(*arguments: object, code: int = 0) -> None:
                warm.start(*arguments)
                assert warm.wait() == code, warm.said()

            _subset_and_training(ot, tiny_model)
            _sweep(ot, tmp_path)
            _export_and_push(ot, hub)
            _explorer(warm, tmp_path)
            ot("doctor", "--json")
            _sandbox(ot, tmp_path)
            _refusals(ot, server)
            said = warm.said()
    crashed = subprocess.run(
        [sys.executable, "-c", CRASH],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert crashed.returncode == 1 and "unexpected RuntimeError" in crashed.stderr
    assert len(list((tmp_path / "cache/crashes").iterdir())) == 1
    # Each journey came to where a key could have been shown.
    for words in ("go away", "invalid API key", "credentials", '"correct": true'):
        assert words in said, f"{words!r} was never said:\n{said}"
    (tmp_path / "crashed.txt").write_text(crashed.stdout + crashed.stderr)
    assert list(tmp_path.glob("runs/*/wandb/offline-run-*/*.wandb"))
    assert leaks(tmp_path) == []


def _subset_and_training(ot: Any, tiny_model: Path) -> None:
    ot(
        "subset", "--dataset", "sample", "--source", "openmath", "--max-tokens", 2048, "--limit", 8,
        "--name", "small", "--set", f"tokenizer={tiny_model}",
    )  # fmt: skip
    settings = (
        "--subset", "small", "--epochs", 1, "--batch-size", 4, "--set", "evals={nll: {at_end: true}, arithmetic: {limit: 2, n: 1, max_tokens: 4}}",
        "--yes",
    )  # fmt: skip
    local = ("--engine", "local", "--model", tiny_model, "--set", "wandb.mode=offline")
    ot("train", "--run-name", "here", *local, *settings)
    ot("train", "--run-name", "there", "--set", "wandb.mode=disabled", *settings)
    for run in ("here", "there"):
        ot("report", run)
        ot("runs", "show", run, "--json")
    ot("runs", "ls")


def _sweep(ot: Any, tmp_path: Path) -> None:
    grid = tmp_path / "rates.yaml"
    grid.write_text(GRID)
    ot("sweep", grid, "--yes")
    ot("runs", "show", "rates", "--json")
    ot("report", "rates")


def _export_and_push(ot: Any, hub: DatasetHub) -> None:
    ot("runs", "export", "here")
    ot("push", "here", "me/weights", "--json")
    assert hub.models == hub.private == {"me/weights"}
    assert leaks(hub.root) == []
    assert hub.strangers == []  # its store was sent no token


def _explorer(warm: WarmStart, tmp_path: Path) -> None:
    """Open the page of a run as a browser does, and keep all that it sends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pid = warm.start("explore", "here", "--no-open", "--port", port)
    until_s = time.monotonic() + 120
    while f"http://127.0.0.1:{port}" not in warm.said():
        assert time.monotonic() < until_s, warm.said()
        time.sleep(0.1)
    sent = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30).read()
    asking = BackMsg()
    asking.rerun_script.page_name = "runs"
    with connect(f"ws://127.0.0.1:{port}/_stcore/stream", max_size=None) as page:
        page.send(asking.SerializeToString())
        finished = False
        while not finished:
            sent += (message := bytes(page.recv(timeout=60, decode=False)))
            told = ForwardMsg.FromString(message)
            finished = told.WhichOneof("type") == "script_finished" and not told.script_finished
    assert b"here" in sent
    (tmp_path / "explored").write_bytes(sent)
    os.kill(pid, signal.SIGINT)
    assert warm.wait() == 0, warm.said()


def _sandbox(ot: Any, tmp_path: Path) -> None:
    [row] = lcb_rows(1)
    answer = f"```python\n{LOOKS_FOR_KEYS}\n```"
    answers = tmp_path / "answers.jsonl"
    answers.write_text(json.dumps({"problem": row, "completion": answer}) + "\n")
    ot("grade", "livecodebench", "--answers", answers, "--json")


def _refusals(ot: Any, server: TinkerServer) -> None:
    ot("subset", "--dataset", "someone/private", "--limit", 3, "--name", "no", code=1)
    server.key = "tml-another-key"  # the service forgets ours, and quotes it in its answer
    ot("train", "--subset", "small", "--run-name", "refused", "--yes", code=1)
    address = f"engine.base_url=http://planted:{IN_AN_ADDRESS}@127.0.0.1:9"
    ot("train", "--subset", "small", "--run-name", "bad", "--set", address, "--yes", code=2)

"""What the code of the package may never call, and which modules may open a file for writing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "openthoughts_cli"

FORBIDDEN = {
    "pickle.load": "a pickle is a program",
    "pickle.loads": "a pickle is a program",
    "pickle.Unpickler": "a pickle is a program",
    "cPickle.load": "a pickle is a program",
    "dill.load": "a pickle is a program",
    "dill.loads": "a pickle is a program",
    "joblib.load": "a pickle is a program",
    "cloudpickle.load": "a pickle is a program",
    "cloudpickle.loads": "a pickle is a program",
    "shelve.open": "a shelf is pickles",
    "pandas.read_pickle": "a pickle is a program",
    "pd.read_pickle": "a pickle is a program",
    "torch.load": "a .pt file is a pickle; weights are read from safetensors",
    "marshal.load": "marshal reads bytecode",
    "marshal.loads": "marshal reads bytecode",
    "yaml.load": "ruamel's safe, pure parser reads YAML",
    "yaml.unsafe_load": "ruamel's safe, pure parser reads YAML",
    "yaml.full_load": "ruamel's safe, pure parser reads YAML",
    "eval": "text of others is never run here",
    "exec": "text of others is never run here",
    "compile": "text of others is never run here",
    "__import__": "modules are imported by name",
    "os.system": "a shell would read the text",
    "os.popen": "a shell would read the text",
    "subprocess.getoutput": "a shell would read the text",
    "subprocess.getstatusoutput": "a shell would read the text",
    "tempfile.mktemp": "the name may be taken by another",
    "datasets.load_dataset": "it may run a script of the data set",
    "load_dataset": "it may run a script of the data set",
    "datasets.load_from_disk": "subsets are read as Arrow, by our own code",
    "load_from_disk": "subsets are read as Arrow, by our own code",
    "shutil.unpack_archive": "a member may leave its directory",
}
RUNS_CODE = {
    # These three files are handed into the sandbox as text and run there, on the model's program.
    "evals/sandbox/inside.py": {"exec", "compile"},
    "evals/lcb_inside.py": {"exec", "compile"},
    "evals/sandbox/handover.py": {"compile"},  # of the two files above, before they are handed over
    # Outside it: the solutions of the built-in sample, which are texts of this package, when its
    # rows are made (`python -m openthoughts_cli.data.sample.generate`).
    "data/sample/code_rows.py": {"exec"},
}

WRITERS = {
    # module: how it writes, and why not through store.py
    "store.py": {"open", "os.open", "mkstemp", "mkdtemp", "fdopen", "replace"},
    "leftovers.py": {"replace"},  # puts back what a killed process had moved away
    "cli/boundary.py": {"open", "os.open"},  # /dev/null in the place of a closed stream
    "cli/console.py": {"os.open"},  # /dev/null in the place of a closed stderr
    # Inside a directory of `directory_aside`, which flushes and renames all of it:
    "chat/folder.py": {"write_text"},
    "chat/qwen3.py": {"write_json"},
    "chat/smollm2.py": {"copyfile", "write_json"},
    "data/arrow_directory.py": {"OSFile", "write_text"},
    "data/subset_files.py": {"write_bytes", "write_text"},
    "engine/local/checkpoint.py": {"write_bytes", "write_text"},
    "engine/local/convert.py": {"copyfile", "save_file", "save_pretrained"},
    "engine/local/fetch.py": {"write_text"},
    "engine/local/export.py": {"save_pretrained"},
    "export/export.py": {"copyfile", "replace", "write_text"},
    "engine/local/outline.py": {"open", "write_bytes"},
    # A temporary file without a name, or a folder, gone with the process:
    "data/select.py": {"TemporaryFile"},
    "sweeps/launch_processes.py": {"TemporaryFile"},
    "sweeps/ray_worker.py": {"mkdtemp"},
    # Pipes, and an archive in memory:
    "explorer/apart.py": {
        "fdopen",
        "TemporaryFile",
    },  # a child's stderr, nameless, gone when it ends
    "sweeps/child.py": {"fdopen"},
    "sweeps/parcel.py": {"open"},
    "evals/sandbox/handover.py": {"TemporaryFile"},  # or memory, handed into the sandbox
    # Sets a whole directory aside:
    "training/evaluations.py": {"replace"},
    # Into memory, which write_whole then writes:
    "data/index.py": {"write_table"},
    "data/lengths_chart.py": {"save"},
    "data/sample/generate.py": {"write_table"},
    # A download grows beside its place and is put there by `put_in_place` when its digest is right:
    "chat/wheels.py": {"TemporaryDirectory", "open"},
    "hub/cache.py": {"copyfile", "replace", "symlink_to"},
    "hub/download.py": {"open"},
    # A temporary directory that is uploaded and gone:
    "data/push.py": {"TemporaryDirectory", "write_table"},
    # Inside the sandbox:
    "evals/sandbox/inside.py": {"open"},
    "evals/sandbox/launch.py": {"os.open"},
    "evals/lcb_inside.py": {"posix.open"},
}
_WRITING_CALLS = {
    *("write_text", "write_bytes", "save_file", "save_pretrained", "write_table", "OSFile"),
    *("write_parquet", "write_csv", "write_ndjson", "write_ipc", "write_json", "sink_parquet"),
    *("sink_csv", "sink_ipc", "to_parquet", "to_csv", "save_to_disk", "savez", "tofile"),
    *("mkstemp", "mkdtemp", "NamedTemporaryFile", "TemporaryFile", "TemporaryDirectory"),
    *("copyfile", "copy2", "copytree", "symlink_to", "hardlink_to", "fdopen", "dump"),
    *("imsave", "savefig", "ParquetWriter", "RecordBatchFileWriter", "FileIO"),
}
"""Calls that write, whatever their arguments; `save`, `open`, `replace` are looked at more closely."""


def _modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def _name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Each call with its dotted name; what a name was imported from is put before it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    origin: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                origin[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    origin[alias.asname] = alias.name
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            first, dot, rest = name.partition(".")
            yield origin.get(first, first) + dot + rest, node


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((word.value for word in call.keywords if word.arg == name), None)


def _is(value: ast.expr | None, constant: object) -> bool:
    return isinstance(value, ast.Constant) and value.value is constant


@pytest.mark.parametrize("path", _modules(), ids=_name_of)
def test_nothing_of_foreign_origin_is_run(path: Path) -> None:
    allowed = RUNS_CODE.get(_name_of(path), set[str]())
    for name, call in _calls(path):
        where = f"{_name_of(path)}:{call.lineno}: {name}"
        assert name in allowed or name not in FORBIDDEN, f"{where}: {FORBIDDEN.get(name)}"
        last = name.rpartition(".")[2]
        assert not _is(_keyword(call, "shell"), True), f"{where}: a shell would read the text"
        assert not _is(_keyword(call, "allow_pickle"), True), f"{where}: a pickle is a program"
        trust = _keyword(call, "trust_remote_code")
        assert trust is None or _is(trust, False), f"{where}: code of a repository is never run"
        if last in ("extractall", "extract") and name.count("."):
            assert _is_data_filter(call), f"{where}: a member may leave its directory"
        if last == "YAML":
            forms = (
                "YAML(typ='safe', pure=True)",
                "YAML()",
            )  # the latter to write, and to round-trip
            assert ast.unparse(call) in forms, where
        if last == "from_pretrained" and "AutoModel" in name:
            # Without False, transformers asks at a terminal whether to run the repository's code.
            assert _is(trust, False), f"{where}: say trust_remote_code=False"
            assert _is(_keyword(call, "use_safetensors"), True), f"{where}: a .bin is a pickle"
        if last == "Environment" and "jinja2" in name:
            assert "sandbox" in name or _is(_keyword(call, "autoescape"), True), where


@pytest.mark.parametrize("path", _modules(), ids=_name_of)
def test_every_child_is_given_its_environment(path: Path) -> None:
    """Nothing, or `redaction.without_secrets()`: a child that says nothing inherits every key."""
    for name, call in _calls(path):
        if name.startswith("subprocess.") and name.rpartition(".")[2] in CHILDREN:
            where = f"{_name_of(path)}:{call.lineno}"
            given = _keyword(call, "env")
            if _name_of(path) in OURS:
                continue
            assert given is not None, f"{where}: say env="
            assert "os.environ" not in ast.unparse(given), f"{where}: use without_secrets()"


OURS = {"explorer/apart.py"}  # its child is ot itself, which fetches what a token may be needed for
CHILDREN = {"run", "Popen", "call", "check_call", "check_output"}


def _is_data_filter(call: ast.Call) -> bool:
    value = _keyword(call, "filter")
    return isinstance(value, ast.Constant) and value.value == "data"


def _writes(path: Path) -> Iterator[tuple[str, int]]:
    for name, call in _calls(path):
        last = name.rpartition(".")[2]
        if last in _WRITING_CALLS:
            if name not in ("ast.dump", "yaml.dump"):  # the latter into memory
                yield last, call.lineno
        elif name in ("os.open", "posix.open"):
            if "O_RDONLY" not in ast.unparse(call) or "O_W" in ast.unparse(call):
                yield name, call.lineno
        elif last == "open":
            if set("wax+") & set(_mode(call, is_method="." in name)):
                yield "open", call.lineno
        elif name in ("torch.save", "numpy.save", "image.save") or name.endswith(").save"):
            yield "save", call.lineno
        elif last in ("replace", "rename", "move") and _moves_a_file(name, call):
            yield last, call.lineno


def _mode(call: ast.Call, *, is_method: bool) -> str:
    place = 0 if is_method else 1
    given = _keyword(call, "mode") or (call.args[place] if len(call.args) > place else None)
    if given is None:
        return "r"
    return given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else ""


def _moves_a_file(name: str, call: ast.Call) -> bool:
    if name in ("os.replace", "os.rename", "shutil.move"):
        return True
    # `Path.replace` takes one place; `str.replace` two texts, `datetime.replace` keywords.
    return "." in name and len(call.args) == 1 and not call.keywords and "dataclasses" not in name


@pytest.mark.parametrize("path", _modules(), ids=_name_of)
def test_files_are_written_by_the_store_or_by_those_named_here(path: Path) -> None:
    name = _name_of(path)
    found = dict(_writes(path))
    unknown = {kind: line for kind, line in found.items() if kind not in WRITERS.get(name, set())}
    assert not unknown, (
        f"{name} writes by {unknown}: use openthoughts_cli.store, or say here why not"
    )


def test_the_exceptions_are_not_stale() -> None:
    for name, kinds in WRITERS.items():
        assert (ROOT / name).is_file(), name
        assert {kind for kind, _ in _writes(ROOT / name)} == kinds, name
    for name, calls in RUNS_CODE.items():
        assert calls <= {called for called, _ in _calls(ROOT / name)}, name


@pytest.mark.parametrize(
    ("code", "caught"),
    [
        ("import pickle\npickle.loads(x)", True),
        ("from pickle import loads as read\nread(x)", True),
        ("import pickle as p\np.load(f)", True),
        ("import torch\ntorch.load(f, weights_only=True)", True),
        ("eval(text)", True),
        ("subprocess.run(text, shell=True)", True),
        ("numpy.load(f, allow_pickle=True)", True),
        ("archive.extractall(place)", True),
        ("archive.extractall(place, filter='data')", False),
        ("AutoModel.from_pretrained(x, use_safetensors=True)", True),
        ("ruamel.yaml.YAML(typ='unsafe')", True),
        ("jinja2.Environment()", True),
        ("json.loads(x)", False),
        ("model.eval()", False),
    ],
)
def test_the_rules_see_what_they_are_for(tmp_path: Path, code: str, caught: bool) -> None:
    file = ROOT / "none.py"  # only its name
    path = tmp_path / file.name
    path.write_text(code)
    rule = test_nothing_of_foreign_origin_is_run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{__name__}.ROOT", tmp_path)
        if caught:
            with pytest.raises(AssertionError):
                rule(path)
        else:
            rule(path)


@pytest.mark.parametrize(
    ("code", "caught"),
    [
        ("path.open('w')", True),
        ("path.open(mode='ab')", True),
        ("open(path, 'r+')", True),
        ("path.open()", False),
        ("path.open('rb')", False),
        ("path.write_text('x')", True),
        ("path.replace(other)", True),
        ("text.replace('a', 'b')", False),
        ("os.rename(a, b)", True),
        ("frame.write_parquet(path)", True),
    ],
)
def test_writing_is_seen(tmp_path: Path, code: str, caught: bool) -> None:
    path = tmp_path / "none.py"
    path.write_text(code)
    assert bool(list(_writes(path))) is caught

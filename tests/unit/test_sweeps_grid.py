"""Grids: what they expand to, what cells are called, and that all that is wrong is told at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openthoughts_cli.config.load import load_config
from openthoughts_cli.config.sources import SOURCES
from openthoughts_cli.config.sweep import SweepConfig
from openthoughts_cli.errors import ConfigError
from openthoughts_cli.sweeps.cells import Drafted, draft_cells
from openthoughts_cli.sweeps.grid import MOST_CELLS, expand, recipe_names
from openthoughts_cli.sweeps.keys import Key, UnknownKey, parse_key
from openthoughts_cli.sweeps.problems import Problems


def recipes(**values: Any) -> list[dict[str, Any]]:
    problems = Problems()
    found = expand(SweepConfig(**values), problems)
    assert problems.lines == []
    return list(found)


def wrong(**values: Any) -> str:
    problems = Problems()
    expand(SweepConfig(**values), problems)
    return "\n".join(problems.lines)


def draft(tmp_path: Path, text: str) -> Drafted:
    file = tmp_path / "grid.yaml"
    file.write_text(text)
    loaded = load_config(SweepConfig, file=file, environ={})
    return draft_cells(loaded.config, loaded.files)


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        draft(tmp_path, text)
    return caught.value.message.replace(str(tmp_path) + "/", "")


def test_axes_multiply_in_the_order_of_the_file() -> None:
    assert recipes(axes={"train.b": [1, 2], "train.a": [3, 4]}) == [
        {"train.b": 1, "train.a": 3},
        {"train.b": 1, "train.a": 4},
        {"train.b": 2, "train.a": 3},
        {"train.b": 2, "train.a": 4},
    ]


def test_zip_advances_together_and_multiplies_with_axes() -> None:
    assert recipes(axes={"x": [1, 2]}, zip={"y": [3, 4], "z": [5, 6]}) == [
        {"x": 1, "y": 3, "z": 5},
        {"x": 1, "y": 4, "z": 6},
        {"x": 2, "y": 3, "z": 5},
        {"x": 2, "y": 4, "z": 6},
    ]


def test_exclude_takes_away_and_include_adds_what_exclude_does_not_touch() -> None:
    found = recipes(
        axes={"x": [1, 2], "y": [1, 2]},
        exclude=[{"x": 2, "y": 2}],
        include=[{"x": 2, "y": 2, "z": 1}],
    )
    assert found == [
        {"x": 1, "y": 1},
        {"x": 1, "y": 2},
        {"x": 2, "y": 1},
        {"x": 2, "y": 2, "z": 1},
    ]


def test_a_grid_without_axes_is_one_cell_and_one_of_include_alone_has_those() -> None:
    assert recipes() == [{}]
    assert recipes(include=[{"x": 1}]) == [{"x": 1}]


@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "c"]),
        st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True),
        max_size=3,
    )
)
def test_a_product_has_every_combination_once(axes: dict[str, list[int]]) -> None:
    found = recipes(axes=axes)
    count = 1
    for values in axes.values():
        count *= len(values)
    assert len(found) == count
    assert len({tuple(sorted(recipe.items())) for recipe in found}) == count
    names = recipe_names(tuple(found))
    assert len(set(names)) == count


def test_what_is_wrong_with_a_grid() -> None:
    assert "the list is empty" in wrong(axes={"x": []})
    assert "x: 1 stands there twice" in wrong(axes={"x": [1, 1]})
    assert "no cell is left" in wrong(axes={"x": [1]}, exclude=[{"x": 1}])
    assert "3 is none of its values (1, 2)" in wrong(axes={"x": [1, 2]}, exclude=[{"x": 3}])
    assert "y: it does not vary" in wrong(axes={"x": [1]}, exclude=[{"y": 3}])
    assert "x: 1 is a cell already" in wrong(axes={"x": [1]}, include=[{"x": 1}])
    many = {"x": list(range(101)), "y": list(range(100))}
    assert f"at most {MOST_CELLS:,}" in wrong(axes=many)


def test_true_and_1_are_two_values() -> None:
    assert recipes(axes={"x": [True, 1]}, exclude=[{"x": 1}]) == [{"x": True}]


def test_names_say_what_differs_in_as_few_words_as_tell_keys_apart() -> None:
    assert recipe_names(({"train.learning_rate": 1e-5, "train.lora_rank": 8},)) == (
        "learning_rate=1e-05,lora_rank=8",
    )
    both = {"train.max_tokens": 5, "subset.max_tokens": 6}
    assert recipe_names((both,)) == ("train.max_tokens=5,subset.max_tokens=6",)
    assert recipe_names(({},)) == ("base",)
    mixed = {"subset.mix": {"openmath": 0.5, "physics": 0.5}, "subset.source": ["a", "b"]}
    assert recipe_names((mixed,)) == ("mix=openmath+physics,source=a+b",)
    shares = {"subset.mix": {"openmath": 2, "physics": 1}}
    assert recipe_names((shares,)) == ("mix=openmath:2+physics:1",)
    all_five = {source.short: 1 for source in SOURCES}
    assert recipe_names(({"subset.mix": all_five},))[0].endswith("+physics")  # not cut


def test_names_that_were_cut_to_the_same_get_a_number() -> None:
    long = "x" * 60
    names = recipe_names(({"subset.where": long + "1"}, {"subset.where": long + "2"}))
    assert len(set(names)) == 2
    assert all(len(name) < 60 for name in names)


def test_keys_and_what_they_address() -> None:
    assert parse_key("train.learning_rate") == Key("train", ("learning_rate",))
    assert parse_key("train.engine.device") == Key("train", ("engine", "device"))
    assert parse_key("eval.aime25.n") == Key("train", ("evals", "aime25", "n"))
    assert parse_key("eval.nll") == Key("train", ("evals", "nll"))
    assert parse_key("subset.mix") == Key("subset", ("mix",))
    assert parse_key("subset") == Key("whole-subset", ())


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("learning_rate", "did you mean train.learning_rate?"),
        ("train.learning_rat", "did you mean train.learning_rate?"),
        ("subset.sources", "called subset.source"),
        ("eval.nll.evry", "did you mean eval.nll.every?"),
        ("train.lr", "called train.learning_rate"),
        ("zzz", "begin with train."),
        ("train.seed", "under `seeds:`"),
        ("train.subset", "`subset`"),
        ("train.run_name", "names the runs of its cells itself"),
    ],
)
def test_a_key_that_addresses_nothing_says_what_was_meant(key: str, said: str) -> None:
    with pytest.raises(UnknownKey, match=r".") as caught:
        parse_key(key)
    assert said in str(caught.value)


GOOD = """
base: {engine: local, evals: {nll: {every: 2}}}
subset: {dataset: sample, limit: 32}
axes:
  train.learning_rate: [1e-5, 1e-4]
  subset.limit: [16, 32]
seeds: [0, 1]
"""


def test_cells_have_whole_configs_and_equal_subsets_are_one_request(tmp_path: Path) -> None:
    cells = draft(tmp_path, GOOD).cells
    assert [cell.name for cell in cells[:3]] == [
        "learning_rate=1e-05,limit=16,seed=0",
        "learning_rate=1e-05,limit=16,seed=1",
        "learning_rate=1e-05,limit=32,seed=0",
    ]
    assert [cell.recipe for cell in cells[:2]] == ["learning_rate=1e-05,limit=16"] * 2
    assert [cell.train.seed for cell in cells] == [0, 1] * 4
    assert [cell.train.learning_rate for cell in cells] == [1e-5] * 4 + [1e-4] * 4
    assert {cell.subset.config.limit for cell in cells if cell.subset.config} == {16, 32}
    assert len({cell.subset.name for cell in cells}) == 2
    assert all(cell.train.subset == cell.subset.name for cell in cells)
    assert [cell.baseline for cell in cells] == [True, True] + [False] * 6


def test_a_base_file_is_relative_to_the_grid_and_keeps_its_subset_and_seed(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(
        "subset: mine\nengine: local\nseed: 5\nlearning_rate: 0.5\n"
    )
    (cell,) = draft(tmp_path, "base: base.yaml\n").cells
    assert (cell.name, cell.train.seed, cell.train.learning_rate) == ("base", 5, 0.5)
    assert (cell.subset.name, cell.subset.config) == ("mine", None)


def test_an_axis_of_whole_subsets_mixes_names_and_keys(tmp_path: Path) -> None:
    text = "base: {engine: local}\naxes:\n  subset: [mine, {dataset: sample, limit: 8}]\n"
    one, two = draft(tmp_path, text).cells
    assert (one.subset.name, one.subset.config) == ("mine", None)
    assert two.subset.config is not None
    assert two.subset.config.limit == 8


def test_evals_vary_by_their_keys(tmp_path: Path) -> None:
    text = GOOD.replace("subset.limit: [16, 32]", "eval.nll.every: [1, 3]")
    assert {cell.train.evals["nll"].every for cell in draft(tmp_path, text).cells} == {1, 3}


def test_everything_wrong_with_a_grid_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    said = refused(
        tmp_path,
        "base: {learning_rat: 1e-5, engine: local}\n"
        "subset: {dataset: sample, limt: 32}\n"
        "axes:\n"
        '  train.learning_rate: [1e-5, "a"]\n'
        "  learning_rate: [1]\n"
        "  train.lora_rank: [8, 9]\n"
        "  train.epochs: []\n",
    )
    assert said.splitlines() == [
        "6 problems in the grid:",
        "  grid.yaml:1:8: learning_rat: unknown key; did you mean learning_rate?",
        "  grid.yaml:2:27: subset.limt: unknown key; did you mean limit?",
        "  grid.yaml:4:31: train.learning_rate: expected a number or auto, got the text 'a'; "
        "for example `learning_rate: 1e-05`",
        "  grid.yaml:5:3: learning_rate: unknown key; did you mean train.learning_rate?",
        "  grid.yaml:6:24: train.lora_rank: 9 is not a power of two: try 8 or 16",
        "  grid.yaml:7:3: train.epochs: the list is empty, so no cell is left",
    ]


def test_a_combination_that_cannot_be_is_told_once_with_its_cells(tmp_path: Path) -> None:
    said = refused(
        tmp_path,
        "base: {engine: local}\nsubset: {dataset: sample}\n"
        "axes: {train.lora_attn: [false], train.lora_mlp: [false], train.lora_unembed: [false],"
        " train.lora_rank: [4, 8]}\n",
    )
    assert said.startswith("cell lora_attn=false,lora_mlp=false,lora_unembed=false,lora_rank=4 and")
    assert "nothing would be trained" in said
    assert len(said.splitlines()) == 1


def test_a_grid_that_names_no_rows_is_refused(tmp_path: Path) -> None:
    assert "nothing says which rows" in refused(tmp_path, "axes: {train.lora_rank: [4, 8]}\n")


def test_keys_of_a_subset_that_is_there_already_cannot_vary(tmp_path: Path) -> None:
    said = refused(tmp_path, "subset: mine\naxes: {subset.limit: [4, 8]}\n")
    assert "grid.yaml:2:8: subset.limit: the subset is 'mine', which is there already" in said


def test_baselines_by_name_by_keys_and_wrong_ones(tmp_path: Path) -> None:
    named = draft(tmp_path, GOOD + "baseline: learning_rate=0.0001,limit=32\n").cells
    assert next(c.name for c in named if c.baseline).startswith("learning_rate=0.0001,limit=32")
    keyed = GOOD + "baseline: {train.learning_rate: 1e-4, subset.limit: 16}\n"
    assert [c.recipe for c in draft(tmp_path, keyed).cells if c.baseline] == [
        "learning_rate=0.0001,limit=16"
    ] * 2
    assert "2 recipes have subset.limit: 16; name exactly one" in refused(
        tmp_path, GOOD + "baseline: {subset.limit: 16}\n"
    )
    assert "did you mean learning_rate=1e-05,limit=16?" in refused(
        tmp_path, GOOD + "baseline: learning_rate=1e-5,limit=16\n"
    )


def test_seeds_are_each_once(tmp_path: Path) -> None:
    assert "twice" in refused(tmp_path, GOOD.replace("[0, 1]", "[0, 0]"))
    assert "seeds is empty" in refused(tmp_path, GOOD.replace("[0, 1]", "[]"))


def test_a_ranking_that_no_cell_can_give_is_refused_where_the_grid_names_it(tmp_path: Path) -> None:
    base = (
        "base: {subset: s, evals: {nll: {}, arithmetic: {n: 2}}}\naxes: {train.lora_rank: [4, 8]}\n"
    )
    assert (
        "grid.yaml:3:1: metric: no cell measures aime25, they measure arithmetic, nll"
        in refused(tmp_path, f"{base}metric: eval/aime25/mean@1\n")
    )
    assert "metric: pass@4 needs 4 answers a problem, and `n` is 2" in refused(
        tmp_path, f"{base}metric: eval/arithmetic/pass@4\n"
    )
    assert "metric: 'eval/nll/meen' is not a metric" in refused(
        tmp_path, f"{base}metric: eval/nll/meen\n"
    )
    assert len(draft(tmp_path, f"{base}metric: eval/arithmetic/pass@2\n").cells) == 2
    unsaid = "base: {subset: s, evals: {arithmetic: {}}}\naxes: {train.lora_rank: [4, 8]}\n"
    assert len(draft(tmp_path, unsaid).cells) == 2  # another metric may be named at the ranking


def test_what_is_no_list_of_values_is_told_at_its_key(tmp_path: Path) -> None:
    scalar = refused(tmp_path, "axes:\n  train.learning_rate: 1e-4\n")
    assert scalar == (
        "grid.yaml:2:3: axes.train.learning_rate: expected a list of values, got 0.0001: "
        "write `train.learning_rate: [0.0001]`"
    )
    text = refused(tmp_path, "resources: {CPU: lots}\n")
    assert text == "grid.yaml:1:13: resources.CPU: expected a number, got the text 'lots'"
    listed = refused(tmp_path, "axes: [train.learning_rate]\n")
    assert listed.startswith("grid.yaml:1:1: axes: expected a mapping, got a list; for example")
    assert "\n" not in listed
    unclosed = refused(tmp_path, "axes:\n  train.lora_rank: [4, 8\nseeds: [0]\n")
    assert (
        "grid.yaml:3:6: broken YAML: while parsing a flow sequence that began on line 2,"
        in unclosed
    )


def test_problems_stand_in_the_order_of_the_file(tmp_path: Path) -> None:
    told = refused(
        tmp_path,
        "base: {subset: s}\naxes:\n  train.learning_rate: [fast]\n  train.lora_rank: [-1, 2.5]\n"
        "  train.batch_size: [many]\nsubset: {limt: 3}\n",
    )
    places = [line.strip().split(": ")[0] for line in told.splitlines()[1:]]
    assert places == [f"grid.yaml:{at}" for at in ("3:25", "4:21", "4:25", "5:22", "6:10")]

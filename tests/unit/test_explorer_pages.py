"""Every page of pages 1 to 3 as Streamlit runs it, with good input and with bad."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openthoughts_cli.data.browse_open import DataSet, look_up
from openthoughts_cli.data.index_build import build_index
from openthoughts_cli.explorer import library
from openthoughts_cli.explorer.settings import Settings
from tests.browser.places import EVIL, Places, make_places

AppTest: Any = pytest.importorskip("streamlit.testing.v1").AppTest
APP = Path(__file__).parents[2] / "openthoughts_cli" / "explorer" / "app.py"
Opens = Callable[..., Any]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    return make_places(tmp_path_factory.mktemp("places"), questions=20)


@pytest.fixture
def opens(places: Places, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opens]:
    """Run a page with a URL's values: `opens("data_set", view="SQL")`."""

    def run(page: str, settings: Settings | None = None, at: Places = places, /, **url: Any) -> Any:
        for name, value in at.environ.items():
            monkeypatch.setenv(name, value)
        found = settings or Settings(str(at.dataset), str(at.model))
        for name, value in found.to_environ().items():
            monkeypatch.setenv(name, value)
        app = AppTest.from_file(str(APP), default_timeout=60)
        app.switch_page(f"views/{page}.py")
        for name, value in url.items():
            app.query_params[name] = value
        return app.run()

    yield run
    library.forget_all()


def shown(app: Any) -> str:
    """All text on a page."""
    kinds = ("title", "header", "subheader", "markdown", "caption", "text", "code", "info")
    kinds += ("warning", "error", "success")
    texts = [str(each.value) for kind in kinds for each in getattr(app, kind)]
    return "\n".join(texts)


def figure(app: Any, name: str) -> str:
    """The large figure of that name."""
    found = [each.value for each in app.markdown if f"]** {name}" in each.value]
    return found[0].partition("[")[2].partition("]")[0]


def test_the_data_set_page_counts_and_lists(opens: Opens) -> None:
    app = opens("data_set")
    assert not app.exception
    assert (figure(app, "rows"), figure(app, "questions")) == ("82", "22")
    assert "Malformed rows, left out everywhere: no conversation 1" in shown(app)
    table = app.dataframe[0].value
    assert len(table) == 50 and "Let $x^2" in table["question"][0]


def test_a_filter_in_the_url_filters_and_a_widget_changes_the_url(opens: Opens) -> None:
    app = opens("data_set", closed="yes", tokens="1..1500", find="roots", by="words")
    assert not app.exception
    assert 0 < int(figure(app, "rows")) < 82
    app.multiselect(key="filter_domain").set_value(["math"]).run()
    assert (app.query_params["domain"], app.query_params["find"]) == ("math", "roots")
    app.button(key="page_before")  # there, and not to be pressed on the first page
    assert app.button(key="page_before").disabled


@pytest.mark.parametrize("view", ["Rows", "Charts", "SQL"])
def test_every_view_runs(opens: Opens, view: str) -> None:
    app = opens("data_set", view=view)
    assert not app.exception and not app.error


def test_any_depth_is_one_jump_away(opens: Opens) -> None:
    app = opens("data_set", page="999999999", sort="tokens", order="desc", size="25")
    assert "rows 76 to 82 of 82" in shown(app)
    app.button(key="page_before").click().run()
    assert "rows 51 to 75 of 82" in shown(app)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ({"find": "(", "by": "regex"}, "is not a regular expression"),
        ({"tokens": "9..1"}, "the range 9..1 holds no number"),
        ({"tokens": "many"}, "is not a range of numbers"),
        ({"view": "SQL", "sql": "DROP TABLE rows"}, "only SELECT is allowed"),
        ({"view": "SQL", "sql": "SELECT nope FROM rows"}, "nope"),
        ({"view": "SQL", "sql": "SELECT * FROM read_csv('/etc/passwd')"}, "may not read files"),
        ({"row": "0" * 32 + "-0"}, "has no row"),
        ({"row": "../../etc/passwd"}, "has no row"),
    ],
)
def test_bad_input_is_said_and_nothing_breaks(opens: Opens, url: dict[str, str], said: str) -> None:
    app = opens("data_set", **url)
    assert not app.exception
    assert said in shown(app)


@pytest.mark.parametrize(
    "url",
    [
        {"source": "nothing", "view": "Nope", "page": "x", "size": "-3", "sort": "rm", "by": "?"},
        {"page": "1e99", "difficulty": "99999999999999999999"},
        {"data": "/etc/passwd"},
        {"closed": "<script>"},
    ],
)
def test_nonsense_in_the_url_is_left_out(opens: Opens, url: dict[str, str]) -> None:
    app = opens("data_set", **url)
    assert not app.exception and figure(app, "rows") == "82"


def test_a_filter_that_nothing_passes_says_so(opens: Opens) -> None:
    for view in ("Rows", "Charts"):
        app = opens("data_set", tokens="9999999..", view=view)
        assert "No row passes this filter" in shown(app)


def _row_with(text: str) -> str:
    browse: Any = library.open_data_set(library.first_data_set(Settings.from_environ()))
    number = next(i for i in range(len(browse.questions)) if text in browse.questions.text(i))
    row = int((browse.question == number).nonzero()[0][0])
    return browse.row_id(row)


def test_a_row_is_shown_beside_its_siblings(opens: Opens) -> None:
    opens("data_set")
    app = opens("data_set", row=_row_with("case 4"))
    assert not app.exception
    assert "4 answers to this question" in shown(app)
    assert len(app.dataframe[0].value) == 4
    assert any("**The other**" in each.value for each in app.markdown)


@pytest.mark.parametrize("text", ["an image", "Broken"])
def test_hostile_rows_are_text(opens: Opens, text: str) -> None:
    opens("data_set")
    app = opens("data_set", row=_row_with(text))
    assert not app.exception
    assert not any("<img" in each.value or "<script" in each.value for each in app.markdown)


def test_an_answer_of_ten_megabytes_is_shown_in_parts(opens: Opens, tmp_path: Path) -> None:
    from tests.doubles.rows import record, write

    big = make_places(tmp_path, index=False)
    shutil.rmtree(big.dataset)
    write(
        big.dataset / "a.parquet", [record("big?", "<think>a</think>" + "word \\(x\\)\n" * 900_000)]
    )
    from tests.browser.places import build_index_of

    with big.in_force():
        build_index_of(big)
    app = opens("data_set", None, big)
    name = _row_with("big?")
    app = opens("data_set", None, big, row=name)
    assert not app.exception
    assert max(len(each.value) for each in app.markdown) < 200_000
    assert any(each.label.startswith("Part of ") for each in app.number_input)


def test_without_an_index_the_page_offers_to_build_it(opens: Opens, tmp_path: Path) -> None:
    bare = make_places(tmp_path, index=False, questions=4)
    app = opens("data_set", None, bare)
    assert not app.exception
    assert "has no index yet" in shown(app) and "ot index build --dataset" in shown(app)
    build = next(each for each in app.button if each.label.startswith("Build it now"))
    build.click().run()
    assert not app.exception and figure(app, "rows") == "18"


def test_an_index_of_other_data_is_said(opens: Opens, tmp_path: Path) -> None:
    from tests.doubles.rows import many, write

    changed = make_places(tmp_path, questions=4)
    opens("data_set", None, changed)
    write(changed.dataset / "train-00001.parquet", many(30))
    app = opens("data_set", None, changed)
    assert not app.exception
    assert "lacks 1 of 3 files" in shown(app)


def test_a_public_page_shows_no_path_and_builds_nothing(opens: Opens, tmp_path: Path) -> None:
    bare = make_places(tmp_path, index=False, questions=4)
    public = Settings(str(bare.dataset), str(bare.model), public=True)
    app = opens("data_set", public, bare)
    assert not app.exception and not app.button
    assert str(bare.root) not in shown(app)
    for page in ("save", "subset", "runs", "answers", "sweep"):
        assert "has no index yet" in shown(opens(page, public, bare))  # there is no such page


def test_a_public_row_of_files_given_by_a_pattern_names_no_folder(
    opens: Opens, places: Places
) -> None:
    pattern = f"{places.dataset}/*.parquet"
    with places.in_force():
        looked = look_up(DataSet(pattern, str(places.model)))
        build_index(looked.index, looked.counter)
    public = Settings(pattern, str(places.model), public=True)
    assert str(places.root) not in shown(opens("data_set", public))
    browse: Any = library.open_data_set(library.first_data_set(public))
    app = opens("data_set", public, row=browse.row_id(0))
    assert not app.exception and "file **train-00000.parquet**" in shown(app)
    assert str(places.root) not in shown(app)


def test_an_error_on_a_public_page_names_no_folder(opens: Opens, tmp_path: Path) -> None:
    public = Settings(str(tmp_path / "nothing.parquet"), public=True)
    app = opens("data_set", public)
    assert not app.exception
    assert "nothing.parquet does not exist" in shown(app) and str(tmp_path) not in shown(app)


def test_saving_shows_command_and_yaml_and_saves(opens: Opens, places: Places) -> None:
    app = opens("save", closed="yes", thinking="1..2000")
    assert not app.exception
    command, yaml = app.code[0].value, app.code[1].value
    assert command.startswith("ot subset --dataset ") and "--closed" in command
    assert "where: " in yaml and "max_tokens: " in yaml
    app.text_input[0].set_value("from-the-page").run()
    save = next(each for each in app.button if each.label == "Save it here")
    save.click().run()
    assert not app.exception and "is saved" in shown(app)
    assert (places.root / "subsets" / "from-the-page" / "metadata.json").is_file()


def test_a_name_cannot_leave_the_subsets(opens: Opens, places: Places) -> None:
    app = opens("save")
    app.text_input[0].set_value("../outside").run()
    assert not app.exception and "That did not work" in shown(app)
    assert not any(each.label == "Save it here" for each in app.button)
    assert not (places.root / "outside").exists()


def test_what_a_subset_cannot_ask_for_is_warned_of(opens: Opens) -> None:
    app = opens("save", find="roots", answers="2..")
    assert [each.value[:40] for each in app.warning] == [
        "A subset's choice knows nothing of the se"[:40],
        "A subset's choice knows nothing of answe"[:40],
    ]


@pytest.mark.parametrize("view", ["Overview", "Rows", "Split", "Loss mask", "Left out", "Compare"])
def test_every_view_of_a_subset_runs(opens: Opens, view: str) -> None:
    app = opens("subset", name="small", view=view)
    assert not app.exception and not app.error, shown(app)
    assert figure(app, "rows") == "20"


@pytest.mark.parametrize("model", ["{}", "../{}", "./near", "~nobody/x", "x" * 5_000])
def test_the_loss_mask_reads_no_folder_but_the_subsets_own(
    opens: Opens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    (tmp_path / "near").mkdir()
    monkeypatch.chdir(tmp_path)
    app = opens("subset", name="small", view="Loss mask")
    app.text_input(key="mask_model").set_value(model.replace("{}", str(tmp_path))).run()
    assert not app.exception
    assert [each.value[:24] for each in app.warning] == ["A folder is read only wh"]


def test_a_name_in_the_url_opens_no_other_directory(opens: Opens, places: Places) -> None:
    (places.root / "elsewhere").mkdir(exist_ok=True)
    app = opens("subset", name="../elsewhere")
    assert not app.exception and "elsewhere" not in shown(app)


def test_a_damaged_subset_is_said(opens: Opens, tmp_path: Path) -> None:
    broken = make_places(tmp_path, questions=8)
    place = broken.root / "subsets" / "small"
    (place / "metadata.json").write_text('{"format": 99}')
    app = opens("subset", None, broken, name="small")
    assert not app.exception and "That did not work" in shown(app)
    data = next((broken.root / "subsets" / "other" / "dataset").glob("*.arrow"))
    data.write_bytes(data.read_bytes()[:100])
    app = opens("subset", None, broken, name="other")
    assert not app.exception and "That did not work" in shown(app)


def test_without_a_subset_the_page_says_what_makes_one(opens: Opens, tmp_path: Path) -> None:
    bare = make_places(tmp_path, index=False, questions=4)
    app = opens("subset", None, bare)
    assert "There is no subset yet" in shown(app) and "ot subset" in shown(app)


def test_the_evil_row_is_in_the_data(opens: Opens) -> None:
    opens("data_set")
    browse: Any = library.open_data_set(library.first_data_set(Settings.from_environ()))
    assert any(EVIL in browse.questions.text(i) for i in range(len(browse.questions)))

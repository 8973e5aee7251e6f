"""A subset for a person: where rows went, what they are, how long, and a few of them folded."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from openthoughts_cli.cli.render.tables import facts, table
from openthoughts_cli.config.choice import short_source_name
from openthoughts_cli.data.funnel import STEPS
from openthoughts_cli.places import subsets_dir

if TYPE_CHECKING:
    from openthoughts_cli.data.inspect import Inspection, MaskedRow
    from openthoughts_cli.data.rows import Row
    from openthoughts_cli.data.select import Selection
    from openthoughts_cli.data.subset import Subset

__all__ = [
    "funnel_view",
    "inspection_view",
    "labels_view",
    "mask_view",
    "preview_view",
    "row_view",
    "subset_view",
]

_BAR_WIDTH = 32
_FOLD_LINES = {"question": (8, 2), "thinking": (4, 3), "answer": (10, 4)}
_WRAP = 76
_SHOWN_OVERLAPS = 20
_WIDE_BLOCKS = "▏▎▍▌▋▊▉█"


def subset_view(subset: Subset) -> RenderableType:
    """What `ot subset` says of a subset that was cut or found: figures, funnel, where it is."""
    figures, metadata = subset.metadata["figures"], subset.metadata
    points = figures["percentiles"]["tokens"]
    lengths = (
        f"{figures['total_tokens']:,} in all; a row has {points['min']:,} to "
        f"{points['max']:,}, half have {points['p50']:,} or fewer"
    )
    where = [
        ("subset", Text(subset.name, style="bold")),
        ("rows", _counted(figures["rows"], "row", figures["questions"], "question")),
        ("tokens", lengths),
        ("digest", subset.digest),
        ("directory", str(subset.path)),
        *_partly_read(metadata["dataset"]),
    ]
    done = "found, nothing was written" if subset.reused else "written"
    at_home = subset.path.parent == subsets_dir()
    target = subset.name if at_home else subset.path
    return Group(
        facts(where),
        _heading("Where the rows went"),
        funnel_view(metadata["funnel"]),
        Text(),
        Text(f"{done}. Next: ot inspect {target}", style="dim"),
    )


def _partly_read(dataset: Mapping[str, Any]) -> Iterable[tuple[str, object]]:
    """What of the data set was not read; nothing where all was."""
    if look := dataset.get("first_look"):
        read, holding = look["files_read"], look["files_holding"]
        yield "first look", f"{read:,} of {holding:,} files, by the seed; --full reads all of them"
    for bad in dataset.get("bad_files", ()):
        yield "left out", bad["reason"]


def preview_view(found: Selection, name: str) -> RenderableType:
    """What `ot subset --dry-run` says: what was read and where the rows would go."""
    corpus = found.corpus
    files = _plural(len(corpus.parts), "file")
    size = sum(part.num_bytes for part in corpus.parts)
    where = [
        ("subset", Text(name, style="bold")),
        (
            "from",
            f"{corpus.dataset}: {_plural(corpus.num_rows, 'row')} in {files}, {size / 1e6:,.1f} MB",
        ),
        ("tokens", f"{sum(item.counts.total for item in found.chosen):,} in the rows chosen"),
        *_partly_read(
            {
                "first_look": corpus.first_look and corpus.first_look._asdict(),
                "bad_files": [bad._asdict() for bad in corpus.bad_files],
            }
        ),
    ]
    return Group(
        facts(where),
        _heading("Where the rows go"),
        funnel_view(found.funnel.record()),
        Text(),
        Text("a dry run: nothing was written", style="dim"),
    )


def inspection_view(seen: Inspection, *, whole: bool = False) -> RenderableType:
    """All that `ot inspect` shows."""
    parts: list[RenderableType] = [facts(_facts(seen)), _heading("Where the rows went")]
    parts.append(funnel_view(seen.funnel))
    if seen.labels is not None:
        parts += [_heading("All rows"), labels_view(seen.labels)]
    title = "Rows" if seen.kind == "subset" else "Of the rows drawn"
    parts += [_heading(title), _composition_view(seen.figures)]
    parts += [_heading(f"Tokens a row ({seen.tokenizer})"), _histogram(seen.figures["token_bars"])]
    parts += [Text(), _percentile_view(seen.figures["percentiles"])]
    if seen.overlaps is not None:
        parts += [_heading("Questions that benchmarks have"), _overlaps_view(seen)]
    for index, row in seen.shown:
        parts.append(row_view(index, row, whole=whole))
    return Group(*parts)


def _overlaps_view(seen: Inspection) -> RenderableType:
    if not seen.overlaps:
        return Text("none of these rows")
    rows = [
        (each.index, each.match.benchmark, each.match.problem, f"{each.match.similarity:.0f}%")
        for each in seen.overlaps[:_SHOWN_OVERLAPS]
    ]
    shown = table(("row", "benchmark", "problem", "alike"), rows, right=("row", "alike"))
    count = _plural(len(seen.overlaps), "row")
    note = f"{count} in all; `ot subset --decontaminate` leaves them out"
    return Group(shown, Text(note, style="dim"))


def _facts(seen: Inspection) -> Iterable[tuple[str, object]]:
    figures = seen.figures
    if seen.kind == "subset":
        yield "subset", Text(seen.target, style="bold")
    else:
        yield "rows of", Text(seen.target, style="bold")
        yield "rows", seen.num_rows
    drawn = "rows" if seen.kind == "subset" else "drawn"
    yield drawn, _counted(figures["rows"], "row", figures["questions"], "question")
    shares = figures["shares"]
    yield "closed", f"{shares['closed']:.1%} have </think>; {shares['boxed']:.1%} a \\boxed"
    yield "truncated", f"{1 - shares['closed']:.1%} never close their thinking"
    yield "copies", figures["copies"] or "none: no row's content is there twice"
    if again := sum(n for rows, n in seen.answers.items() if rows > 1):
        most = max(seen.answers)
        yield (
            "repeated",
            f"{_plural(again, 'question')} with 2 to {most:,} rows"
            if most > 2
            else (f"{_plural(again, 'question')} with 2 rows"),
        )
    if seen.control_tokens:
        yield "control", f"{seen.control_tokens:,} spell a control token; `ot subset` drops them"
    if seen.metadata is not None:
        dataset, config = seen.metadata["dataset"], seen.metadata["config"]
        revision = f" at {dataset['revision']}" if dataset["revision"] else ""
        yield "from", f"{dataset['asked_for']}{revision}, seed {config['seed']}"
        yield from _partly_read(dataset)
    if seen.digest is not None:
        state = Text(f"{seen.digest} ")
        if seen.problem is None:
            state.append("(checked)", style="green")
        else:
            state.append(f"NOT THESE ROWS: {seen.problem}", style="bold red")
        yield "digest", state


def funnel_view(funnel: Mapping[str, Any]) -> RenderableType:
    """Rows read, what took rows out, and what is left: a bar for what remains at each step."""
    read = int(funnel["read"])
    width = _room_for_bars(funnel)
    rows: list[Sequence[object]] = [("read", "", read, _bar(read, read, width=width))]
    left = read
    for key, name in STEPS.items():
        if gone := int(funnel.get(key, 0)):
            left -= gone
            rows.append(
                (name, Text(f"-{gone:,}", style="dim"), left, _bar(left, read, width=width))
            )
            reasons: Mapping[str, int] = funnel["malformed_reasons"] if key == "malformed" else {}
            rows += [
                (f"  {why}", Text(f"{n:,}", style="dim"), "", "") for why, n in reasons.items()
            ]
    last = _bar(left, read, "green", width=width)
    rows.append((_bold("chosen"), "", _bold(f"{funnel['chosen']:,}"), last))
    shown = table(("", "out", "left", " "), rows, right=("out", "left"))
    if not funnel["not_drawn"]:
        return shown
    note = "not drawn: behind the last chosen row in the order"
    return Group(shown, Text(note, style="dim"))


def _room_for_bars(funnel: Mapping[str, Any]) -> int:
    """How wide a bar can be beside the names of the steps, in 80 columns."""
    names = [name for key, name in STEPS.items() if funnel.get(key)]
    names += [f"  {why}" for why in funnel["malformed_reasons"]]
    figures = max(len(f"-{funnel['read']:,}"), 3) + max(len(f"{funnel['read']:,}"), 4)
    around = 3 * 3 + 2  # blanks between four columns, and at both ends
    return max(min(_BAR_WIDTH, 80 - around - figures - max(map(len, names), default=0)), 8)


def labels_view(labels: Mapping[tuple[str, str], int]) -> RenderableType:
    """Rows by source and domain, the largest first, with the short names that can be typed."""
    total = sum(labels.values())
    rows = [
        (short_source_name(source), domain, f"{count:,}", f"{count / total:.1%}", source)
        for (source, domain), count in sorted(labels.items(), key=lambda item: (-item[1], item[0]))
    ]
    names = ("source", "domain", "rows", "share", "full name")
    return table(names, rows, right=("rows", "share"))


def _composition_view(figures: Mapping[str, Any]) -> RenderableType:
    total = max(figures["rows"], 1)
    rows: list[tuple[object, ...]] = []
    for kind, counts in figures["composition"].items():
        if kind == "difficulty" and set(counts) == {"none"}:
            continue
        for value, count in counts.items():
            shown = short_source_name(value) if kind == "source" else value
            rows.append((kind, shown, count, f"{count / total:.1%}", _bar(count, total)))
            kind = ""  # it stands on its first line alone
    return table(("", "value", "rows", "share", " "), rows, right=("rows", "share"))


def _histogram(bars: Sequence[Mapping[str, int]]) -> RenderableType:
    most = max((bar["rows"] for bar in bars), default=1)
    rows = [
        (f"{bar['low']:,} to {bar['high'] - 1:,}", bar["rows"], _bar(bar["rows"], most, "cyan"))
        for bar in bars
    ]
    return table(("tokens", "rows", " "), rows, right=("tokens", "rows"))


def _percentile_view(percentiles: Mapping[str, Mapping[str, int]]) -> RenderableType:
    points = list(next(iter(percentiles.values())))
    names = {"tokens": "whole row"}
    rows = [
        (names.get(name, name.removeprefix("tokens_")), *(values[point] for point in points))
        for name, values in percentiles.items()
    ]
    return table(("", *points), rows, right=points)


def row_view(index: int, row: Row, *, whole: bool = False) -> RenderableType:
    """One row: its figures, then question, thinking and answer, long ones folded in the middle."""
    from openthoughts_cli.data.trace import split_trace

    trace = split_trace(row.answer)
    level = "" if row.difficulty is None else f", difficulty {row.difficulty}"
    about = f"{short_source_name(row.source)}, {row.domain}{level}, {row.row_id}"
    parts: list[RenderableType] = [
        Text(),
        Rule(Text(f"row {index}: {row.tokens:,} tokens", style="bold"), align="left"),
        Text(about, style="dim"),
    ]
    ending = "" if trace.closed else ", never closed"
    for name, text, tokens, note in (
        ("question", row.question, row.tokens_question, ""),
        ("thinking", trace.thinking, row.tokens_thinking, ending),
        ("answer", trace.answer, row.tokens_answer, ""),
    ):
        if text:
            parts.append(Text(f"{name}, {tokens:,} tokens{note}", style="bold cyan"))
            parts.append(_folded(text, tokens, None if whole else _FOLD_LINES[name]))
    return Group(*parts)


def _folded(text: str, tokens: int, lines: tuple[int, int] | None) -> RenderableType:
    shown = _wrapped(visible(text.strip("\n")))
    if lines is None or len(shown) <= sum(lines) + 1:
        return Padding(Text("\n".join(shown)), (0, 0, 0, 2))
    first, last = shown[: lines[0]], shown[-lines[1] :]
    hidden_share = 1 - len("".join(first + last)) / max(len("".join(shown)), 1)
    hidden = f"... {len(shown) - sum(lines):,} lines, about {round(hidden_share * tokens):,} tokens"
    body = Text("\n".join(first) + "\n")
    body.append(f"{hidden} hidden\n", style="dim italic")
    body.append("\n".join(last))
    return Padding(body, (0, 0, 0, 2))


def _wrapped(text: str) -> list[str]:
    lines: list[str] = []
    for line in text.split("\n"):
        lines += textwrap.wrap(line, _WRAP, replace_whitespace=False) or [""]
    return lines


def mask_view(masked: MaskedRow) -> RenderableType:
    """A row's text as it is trained on: dim without loss, green with it, and said in words."""
    title = f"row {masked.index} for {masked.model}"
    body = Text()
    for text, loss in masked.pieces:
        style = "green" if loss else "dim"
        body.append("[loss]\n" if loss else "[no loss]\n", style=f"bold {style}")
        body.append(visible(text).removesuffix("\n") + "\n", style=style)
    note = Text()
    note.append(f"{masked.prompt_tokens:,} tokens carry no loss", style="dim")
    note.append(", ")
    note.append(f"{masked.loss_tokens:,} carry loss", style="green")
    return Group(Text(), Rule(Text(title, style="bold"), align="left"), note, Text(), body)


def visible(text: str) -> str:
    """Control characters as their pictures, so that no row can move the cursor."""
    return "".join(
        char if char in "\n\t" or not (ord(char) < 32 or 127 <= ord(char) < 160) else _picture(char)
        for char in text
    )


def _picture(char: str) -> str:
    code = ord(char)
    return chr(0x2400 + code) if code < 32 else "\u2421" if code == 127 else "\ufffd"


def _bar(count: int, most: int, style: str = "blue", *, width: int = _BAR_WIDTH) -> Text:
    eighths = round(8 * width * count / most) if most else 0
    if count and not eighths:
        eighths = 1
    full, rest = divmod(eighths, 8)
    return Text("█" * full + (_WIDE_BLOCKS[rest - 1] if rest else ""), style=style)


def _counted(rows: int, row: str, questions: int, question: str) -> str:
    return f"{_plural(rows, row)} of {_plural(questions, question)}"


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _heading(text: str) -> RenderableType:
    return Group(Text(), Text(text, style="bold"))


def _bold(text: str) -> Text:
    return Text(text, style="bold")

"""Token counts of a row's parts, out of the ids that a fast encoder gives: no offsets, no strings.

- Added tokens are cut out of a text before anything else is done to it. Where `</think>` is one
  (Qwen3), the tokens of the thinking are those up to the first such id, and a control token that is
  spelled out is an id too.
- Elsewhere the bytes of the tokens, added up, give the places where tokens begin, as long as
  normalising leaves the text as it is. That is checked text by text; any other is measured by
  `tokenizers`. Only questions and, without such an id, answers are treated so.
- NFC is not one thing: `tokenizers` 0.23 normalises by tables of about Unicode 9, gigatoken 0.10 by
  those of Unicode 17. The characters that came between and take part in it (`NEWER`) are looked for
  where a token holds a part of a character, as tokens of such rare ones do; rows that have one are
  measured by `tokenizers`.
"""

from __future__ import annotations

import unicodedata
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from openthoughts_cli.data.arrow_encoder import ArrowEncoder, Encoded
from openthoughts_cli.data.arrow_values import take_rows, text_column
from openthoughts_cli.data.beginnings import Beginnings, Texts
from openthoughts_cli.data.tokens import CountColumns
from openthoughts_cli.data.trace import CLOSE, OPEN, split_trace

if TYPE_CHECKING:
    from openthoughts_cli.chat.renderer import Measure, Renderer

__all__ = ["NEWER", "WINDOW_BYTES", "ArrowCounts"]

WINDOW_BYTES = 8 << 20
"""How much text is encoded at once: its ids take about as much memory again."""
_KEPT_QUESTIONS = 1 << 16
_HEAD_BYTES = 64

_NEWER_RANGES = (
    # Combining marks that only the newer tables know to be combining.
    *("07FD", "0897-089F", "08CA-08D3", "09FE", "0C3C", "0D3B-0D3C", "0EBA", "1715", "1ABF-1AEB"),
    *("1DF6-1DFA", "A82C", "10D24-10D27", "10D69-10D6D", "10EAB-10EAC", "10EFA-10EFF"),
    *("10F46-10F50", "10F82-10F85", "11070", "1133B", "1145E", "11839-1183A", "119E0", "11A34"),
    *("11A47", "11A99", "11D42-11D45", "11D97", "11F41-11F42", "16FF0-16FF1", "1E08F"),
    *("1E130-1E136", "1E2AE", "1E2EC-1E2EF", "1E4EC-1E4EF", "1E5EE-1E5EF", "1E6E3-1E6F5"),
    # Todhri, Tulu-Tigalari, Dives Akuru, Gurung Khema and Kirat Rai compose there.
    *("105C0-105FF", "11380-113FF", "11930-11943", "16100-1613F", "16D40-16D7F"),
)


def _span(ends: str) -> range:
    first, _, last = ends.partition("-")
    return range(int(first, 16), int(last or first, 16) + 1)


NEWER = frozenset(chr(code) for ends in _NEWER_RANGES for code in _span(ends))
"""Characters that `tokenizers` and gigatoken normalise in different ways. A test finds them anew."""

_ADDED, _BROKEN = 1, 2


class ArrowCounts:
    """Counts Arrow columns with an encoder that is trusted.

    Args:
        renderer: whose tokens.
        encoder: gives the ids that the renderer's own tokenizer gives.
        form: the renderer's `tokenizer_form()`.
    """

    def __init__(self, renderer: Renderer, encoder: ArrowEncoder, form: dict[str, Any]) -> None:
        self.encoder = encoder
        self._renderer = renderer
        self._normalises = form["normalizer"] is not None
        added: dict[str, int] = {token["content"]: token["id"] for token in form["added_tokens"]}
        self._close = added.get(CLOSE)
        size = len(encoder.token_texts)
        self._token_bytes = np.fromiter(map(len, encoder.token_texts), np.int64, size)
        # Most tokens are neither added nor broken: one look at all ids finds those that matter.
        self._kind = np.zeros(size, dtype=np.uint8)
        if self._normalises:
            for token, text in enumerate(encoder.token_texts):
                if not text.isascii() and _may_hold_newer(text):
                    self._kind[token] = _BROKEN
        self._is_control = np.zeros(size, dtype=np.bool_)
        control = [text for text in added if renderer.control_tokens_in(text)]
        self._kind[list(added.values())] = _ADDED
        self._is_control[[added[text] for text in control]] = True
        # The same as yes or no, which numpy finds several times faster.
        self._matters = self._kind != 0
        self._beginnings = Beginnings(form, control)
        # By hash of the question: most questions have many answers.
        self._asked: dict[int, tuple[int, int, bool]] = {}

    def count(self, questions: Any, answers: Any, at_most: int | None = None) -> CountColumns:
        """As `TokenCounter.count_columns`."""
        some = at_most is not None and self._beginnings.tell and not self._renderer.opens_thinking
        parts = [
            self._some(questions[start:stop], answers[start:stop], at_most or 0)
            if some
            else self._all(questions[start:stop], answers[start:stop])
            for start, stop in _windows(answers)
        ]
        if len(parts) == 1:
            return parts[0]
        if not parts:
            empty = np.zeros(0, dtype=np.int64)
            return CountColumns(empty, empty, empty, empty, np.zeros(0, dtype=np.bool_))
        return CountColumns(*map(np.concatenate, zip(*parts, strict=True)))

    def _some(self, questions: Any, answers: Any, at_most: int) -> CountColumns:
        """Rows that are surely longer than `at_most` by their beginnings, all others whole."""
        texts = Texts(answers)
        rows, starts = self._beginnings.of(texts, at_most)
        if not rows:
            return self._all(questions, answers)
        prompt, question, control = self._questions(questions)
        found = self.encoder.encode(starts)
        long = prompt[rows] + found.lengths >= at_most  # and the end of turn
        at = np.flatnonzero(self._matters[found.ids])
        at = at[self._kind[found.ids[at]] == _BROKEN]
        owner = np.searchsorted(found.offsets, at, side="right") - 1
        long[self._rows_with_newer(found.ids[at], owner)] = False
        sure = np.asarray(rows)[long]
        total, answer = np.zeros_like(prompt), np.zeros_like(prompt)
        answer[sure] = found.lengths[long] + 1
        total[sure] = prompt[sure] + answer[sure]
        for row in sure.tolist():
            control[row] |= self._beginnings.spells_control(texts.whole(row))
        columns = CountColumns(total, question, np.zeros_like(prompt), answer, control)
        rest = np.setdiff1d(np.arange(len(answers)), sure)
        if len(rest):
            whole = self._all(take_rows(questions, rest), take_rows(answers, rest))
            for column, values in zip(columns, whole, strict=True):
                column[rest] = values
        return columns

    def _all(self, questions: Any, answers: Any) -> CountColumns:
        prompt, question, control = self._questions(questions)
        targets = self._targets(answers)
        found = self.encoder.encode(targets)
        target = found.lengths + 1
        at = np.flatnonzero(self._matters.take(found.ids))
        owner = np.searchsorted(found.offsets, at, side="right") - 1
        added = self._kind[found.ids[at]] == _ADDED
        head, spelled = self._heads(found, answers, targets, at[added], owner[added])
        for row in self._rows_with_newer(found.ids[at[~added]], owner[~added]):
            whole = self._measured("", answers[row].as_py())
            target[row], head[row] = whole.target, whole.head
        return CountColumns(prompt + target, question, head, target - head, control | spelled)

    # -- answers

    def _targets(self, answers: Any) -> Any:
        if not self._renderer.opens_thinking:
            return answers
        texts = [self._renderer.target_text(answer) for answer in answers.to_pylist()]
        return text_column(texts)

    def _heads(
        self,
        found: Encoded,
        answers: Any,
        targets: Any,
        at: NDArray[np.int64],
        owner: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """How many tokens of each target are thinking, and whether it spells a control token.

        `at` are the places of all added tokens, `owner` their rows.
        """
        rows = len(answers)
        head = np.zeros(rows, dtype=np.int64)
        ids = found.ids[at]
        control = np.zeros(rows, dtype=np.bool_)
        control[owner[self._is_control[ids]]] = True
        closed = np.zeros(rows, dtype=np.bool_)
        if self._close is not None:
            closes = ids == self._close
            # Backwards, so that the first one of a row is written last.
            closer, place = owner[closes][::-1], at[closes][::-1]
            head[closer] = place + 1 - found.offsets[closer]
            closed[closer] = True
        texts = Texts(answers)
        for i in np.flatnonzero(~closed).tolist():
            if self._close is None and CLOSE.encode() in texts.whole(i):
                ids = found.ids[found.offsets[i] : found.offsets[i + 1]]
                head[i] = self._measured_head(ids, targets[i].as_py(), answers[i].as_py())
            elif _opens(texts, i):
                head[i] = found.offsets[i + 1] - found.offsets[i]
        return head, control

    def _measured_head(self, ids: NDArray[np.uint32], target: str, answer: str) -> int:
        """Tokens that begin before the end of the first `</think>`, which is text here."""
        ends = self._ends(ids, target)
        if ends is None:
            return self._measured("", answer).head
        cut = len(split_trace(target).thinking.encode())
        return 1 + int(np.searchsorted(ends[:-1], cut))

    def _rows_with_newer(self, broken: NDArray[np.uint32], owner: NDArray[np.int64]) -> list[int]:
        """The rows with a character of `NEWER`, by their broken tokens.

        A character that is split stands in neighbouring tokens that are all broken, so those of a
        row, or of many, are whole text when put together.
        """
        if NEWER.isdisjoint(self._text(broken)):
            return []
        rows: list[int] = np.unique(owner).tolist()
        return [row for row in rows if not NEWER.isdisjoint(self._text(broken[owner == row]))]

    def _text(self, ids: NDArray[np.uint32]) -> str:
        return b"".join([self.encoder.token_texts[i] for i in ids.tolist()]).decode()

    def _measured(self, question: str, answer: str) -> Measure:
        cut = len(split_trace(answer).thinking)
        return self._renderer.measure([(question, answer, cut)])[0]

    # -- questions

    def _questions(
        self, questions: Any
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """Tokens of each prompt, those of its question, and whether that spells a control token."""
        texts: list[bytes] = questions.cast(pa.large_binary()).to_pylist()
        keys = [xxhash.xxh3_128_intdigest(text) for text in texts]
        if len(self._asked) > _KEPT_QUESTIONS:
            self._asked.clear()
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._asked}
        if new:
            asked = self._ask([text.decode() for text in new.values()])
            self._asked.update(zip(new, asked, strict=True))
        table = np.asarray([self._asked[key] for key in keys], dtype=np.int64).reshape(-1, 3)
        return table[:, 0], table[:, 1], table[:, 2].astype(np.bool_)

    def _ask(self, questions: list[str]) -> list[tuple[int, int, bool]]:
        prompts = [self._renderer.prompt_text(question) for question in questions]
        found = self.encoder.encode(text_column(prompts))
        asked: list[tuple[int, int, bool]] = []
        for i, (first, last) in enumerate(pairwise(found.offsets.tolist())):
            total, inside = (
                last - first,
                self._inside(found.ids[first:last], prompts[i], questions[i]),
            )
            if inside is None:
                whole = self._measured(questions[i], "")
                total, inside = whole.prompt, whole.question
            asked.append((total, inside, bool(self._renderer.control_tokens_in(questions[i]))))
        return asked

    def _inside(self, ids: NDArray[np.uint32], prompt: str, question: str) -> int | None:
        """How many of the prompt's tokens hold text of the question; None: it must be measured."""
        ends = self._ends(ids, prompt)
        if ends is None:
            return None
        span = self._renderer.question_span(prompt, question)
        if span is None or span[1] == 0:
            return 0
        first = len(prompt[: span[0]].encode())
        last = first + len(prompt[span[0] : span[1]].encode())
        # The tokens that end behind the first byte, up to the one that holds the last byte.
        return int(np.searchsorted(ends, last) - np.searchsorted(ends, first, side="right")) + 1

    def _ends(self, ids: NDArray[np.uint32], text: str) -> NDArray[np.int64] | None:
        """Where each token ends, in bytes of the text; None where normalising changes the text."""
        if self._normalises and not _stays(text):
            return None
        ends = np.cumsum(self._token_bytes[ids])
        # A blank that the tokenizer puts in front, say, would show here.
        return ends if len(ends) and ends[-1] == len(text.encode()) else None


def _stays(text: str) -> bool:
    """Whether NFC leaves the text as it is, by the tables of either library."""
    return text.isascii() or (NEWER.isdisjoint(text) and unicodedata.is_normalized("NFC", text))


def _may_hold_newer(token: bytes) -> bool:
    try:
        return not NEWER.isdisjoint(token.decode())
    except UnicodeDecodeError:
        return True  # a part of a character: of any


def _opens(texts: Texts, row: int) -> bool:
    """Whether the text begins with `<think>`, white space before it left out."""
    length = _HEAD_BYTES
    while True:
        head = texts.head(row, length)
        start = head.decode("utf-8", "ignore").lstrip()
        if len(start) >= len(OPEN) or len(head) < length:
            return start.startswith(OPEN)
        length *= 4


def _windows(answers: Any) -> list[tuple[int, int]]:
    """Cuts a column where its text has grown by a window, so that ids stay few in memory."""
    if not len(answers):
        return []
    offsets = np.frombuffer(answers.buffers()[1], dtype=np.int64)
    offsets = offsets[answers.offset : answers.offset + len(answers) + 1]
    windows = (offsets[:-1] - offsets[0]) // WINDOW_BYTES
    starts = [0, *(np.flatnonzero(np.diff(windows)) + 1).tolist(), len(answers)]
    return list(pairwise(starts))

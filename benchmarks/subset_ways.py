"""The ways to cut a subset that benchmarks/subset.py compares, one process each.

    python benchmarks/subset_ways.py WAY --corpus FOLDER --tokenizer FOLDER --out FOLDER ...

The job: rows of the domain math with at most so many tokens of Qwen3 (prompt and answer as the trainer
sees them, with the end-of-turn token), 500 of them, chosen with a seed, saved as an Arrow directory.
`estimate` does the job as most people do it: pages by LIMIT and OFFSET, `len(text) // 4`, the first
500. The ways that end in a star work on a slice; benchmarks/subset.py scales them.

The last line on stdout is JSON: seconds of the work itself (libraries are imported before it
begins, tokenizers are loaded in it), rows and bytes worked on, what came out.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

BEFORE, AFTER = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"
PAGE_ROWS = 1_000
SEED = 42


class Job(argparse.Namespace):
    """What is asked, from the command line."""

    corpus: Path
    tokenizer: Path
    out: Path
    max_tokens: int
    limit: int
    slice_rows: int
    workers: int

    @property
    def files(self) -> list[str]:
        return sorted(map(str, self.corpus.glob("*.parquet")))

    @property
    def saved(self) -> str:
        return str(self.out / "subset")


# -- what people do


def estimate(job: Job) -> Callable[[], dict[str, Any]]:
    """Pages of a query, a quarter of the characters as tokens, and stop at 500."""
    import duckdb
    from datasets import Dataset

    def work() -> dict[str, Any]:
        connection = duckdb.connect()
        source = connection.read_parquet(job.files)  # noqa: F841 - named in the query
        kept: list[dict[str, Any]] = []
        offset = 0
        while len(kept) < job.limit:
            page = connection.execute(
                "SELECT * FROM source WHERE domain = 'math' LIMIT ? OFFSET ?", [PAGE_ROWS, offset]
            ).fetchall()
            if not page:
                break
            names = [column[0] for column in connection.description]
            for record in page:
                row = dict(zip(names, record, strict=True))
                text = "".join(turn["value"] for turn in row["conversations"])
                if len(text) // 4 <= job.max_tokens:
                    kept.append(row)
            offset += PAGE_ROWS
        Dataset.from_list(kept[: job.limit]).save_to_disk(job.saved)
        return {"rows": offset, "chosen": min(len(kept), job.limit)}

    return work


def datasets_filter(job: Job) -> Callable[[], dict[str, Any]]:
    """`datasets.filter` with `tokenizers`, two processes, on a slice."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # what two processes leave of it
    os.environ["HF_HOME"] = str(job.out / "hf")
    import datasets
    from tokenizers import Tokenizer

    datasets.disable_progress_bars()
    tokenizer = Tokenizer.from_file(str(job.tokenizer / "tokenizer.json"))
    limit = job.max_tokens

    def fits(batch: dict[str, list[Any]]) -> list[bool]:
        prompts = [BEFORE + talk[0]["value"] + AFTER for talk in batch["conversations"]]
        answers = [talk[1]["value"] for talk in batch["conversations"]]
        found = tokenizer.encode_batch_fast([*prompts, *answers], add_special_tokens=False)
        counts = [len(each.ids) for each in found]
        cut = len(prompts)
        return [a + b + 1 <= limit for a, b in zip(counts[:cut], counts[cut:], strict=True)]

    rows = datasets.load_dataset("parquet", data_files=job.files, split="train")
    rows = rows.filter(
        lambda domains: [domain == "math" for domain in domains],
        input_columns="domain",
        batched=True,
    )
    rows = rows.select(range(min(job.slice_rows, len(rows))))

    def work() -> dict[str, Any]:
        kept = rows.filter(fits, batched=True, batch_size=50, num_proc=2)
        kept = kept.shuffle(seed=SEED).select(range(min(job.limit, len(kept))))
        kept.save_to_disk(job.saved)
        return {"rows": len(rows), "chosen": len(kept)}

    return work


# -- engines with a tokenizer


def _gigatoken(job: Job) -> Callable[[Any], Any]:
    """Arrow strings -> tokens of each."""
    import awkward
    import gigatoken
    import numpy

    tokenizer = gigatoken.Tokenizer(job.tokenizer / "tokenizer.json")

    def lengths(texts: Any) -> Any:
        return numpy.asarray(awkward.num(tokenizer.encode_batch(awkward.from_arrow(texts))))

    return lengths


def _tokenizers(job: Job) -> Callable[[Any], Any]:
    import numpy
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(job.tokenizer / "tokenizer.json"))

    def lengths(texts: Any) -> Any:
        found = tokenizer.encode_batch_fast(texts.to_pylist(), add_special_tokens=False)
        return numpy.array([len(each.ids) for each in found])

    return lengths


def _totals(questions: Any, answers: Any, lengths: Callable[[Any], Any]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    questions, answers = questions.cast(pa.large_string()), answers.cast(pa.large_string())
    before, after, nothing = (pa.scalar(text, pa.large_string()) for text in (BEFORE, AFTER, ""))
    prompts = pc.binary_join_element_wise(before, questions, after, nothing)
    return lengths(prompts) + lengths(answers) + 1


def polars_scan(job: Job) -> Callable[[], dict[str, Any]]:
    """A lazy scan, collected by the streaming engine, and gigatoken."""
    return _polars(job, _gigatoken)


def polars_tokenizers(job: Job) -> Callable[[], dict[str, Any]]:
    """The same with `tokenizers` on all cores, on a slice."""
    return _polars(job, _tokenizers, job.slice_rows)


def _polars(
    job: Job, counter: Callable[[Job], Callable[[Any], Any]], rows: int | None = None
) -> Callable[[], dict[str, Any]]:
    import polars as pl

    def work() -> dict[str, Any]:
        lengths = counter(job)
        talk = pl.col("conversations").list
        scan = pl.scan_parquet(job.files).filter(pl.col("domain") == "math")
        frame = (
            (scan.head(rows) if rows else scan)
            .with_columns(
                question=talk.get(0).struct.field("value"), answer=talk.get(1).struct.field("value")
            )
            .collect(engine="streaming")
        )
        totals = _totals(
            frame["question"].rechunk().to_arrow(), frame["answer"].rechunk().to_arrow(), lengths
        )
        kept = frame.filter(pl.Series(totals <= job.max_tokens))
        chosen = kept.sample(min(job.limit, len(kept)), seed=SEED, shuffle=True)
        chosen.drop("question", "answer").write_ipc(job.saved)
        return {"rows": len(frame), "passed": len(kept), "chosen": len(chosen)}

    return work


def duckdb_stream(job: Job) -> Callable[[], dict[str, Any]]:
    """Record batches of a query, gigatoken, and the 500 smallest hashes kept."""
    import duckdb
    import pyarrow as pa

    def work() -> dict[str, Any]:
        lengths = _gigatoken(job)
        connection = duckdb.connect()
        source = connection.read_parquet(job.files)  # noqa: F841 - named in the query
        stream = connection.execute(
            "SELECT hash(conversations[2].value || ?) AS key, conversations[1].value AS question,"
            " conversations[2].value AS answer, difficulty, source, domain, conversations"
            " FROM source WHERE domain = 'math'",
            [str(SEED)],
        )
        reader = (
            stream.to_arrow_reader(PAGE_ROWS)
            if hasattr(stream, "to_arrow_reader")
            else stream.fetch_record_batch(PAGE_ROWS)
        )
        best: list[tuple[int, int, Any]] = []
        rows = passed = 0
        for batch in reader:
            totals = _totals(batch.column("question"), batch.column("answer"), lengths)
            rows += len(totals)
            keys = batch.column("key").to_pylist()
            for at in (totals <= job.max_tokens).nonzero()[0].tolist():
                passed += 1
                if len(best) < job.limit:
                    heapq.heappush(best, (-keys[at], passed, _copy(batch, at)))
                elif keys[at] < -best[0][0]:
                    heapq.heapreplace(best, (-keys[at], passed, _copy(batch, at)))
        table = pa.concat_tables([row for _, _, row in sorted(best, key=lambda each: -each[0])])
        with pa.OSFile(job.saved, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        return {"rows": rows, "passed": passed, "chosen": len(table)}

    return work


def _copy(batch: Any, at: int) -> Any:
    """One row apart from its batch, so that the batch's memory is free."""
    import pyarrow as pa

    columns = ("difficulty", "source", "domain", "conversations")
    return pa.Table.from_batches([batch.select(columns).take(pa.array([at]))])


# -- what an index build cannot be faster than


def decode_and_tokenise(job: Job) -> Callable[[], dict[str, Any]]:
    """Every text of the corpus decoded and counted, in as many processes as an index build."""
    import multiprocessing

    def work() -> dict[str, Any]:
        tasks = [(str(job.tokenizer), path) for path in job.files]
        with multiprocessing.get_context("spawn").Pool(job.workers) as pool:
            found = pool.starmap(_count_file, tasks, chunksize=1)
        return {"bytes": sum(size for size, _ in found), "tokens": sum(n for _, n in found)}

    return work


_ENCODER: list[Any] = []


def _count_file(tokenizer: str, path: str) -> tuple[int, int]:
    import awkward
    import gigatoken

    if not _ENCODER:
        _ENCODER.append(gigatoken.Tokenizer(Path(tokenizer) / "tokenizer.json"))
    size = tokens = 0
    for texts in _texts(path):
        size += texts.nbytes
        found = _ENCODER[0].encode_batch(awkward.from_arrow(texts), parallel=False)
        tokens += int(found.layout.offsets.data[-1])
    return size, tokens


def _texts(path: str) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(128, columns=["conversations"]):
        yield batch.column("conversations").values.field("value").cast(pa.large_string())


def tokenise_slowly(job: Job) -> Callable[[], dict[str, Any]]:
    """The same pass with `tokenizers` on all cores, on a slice."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(job.tokenizer / "tokenizer.json"))

    def work() -> dict[str, Any]:
        size = rows = 0
        for texts in _texts(job.files[len(job.files) // 2]):
            found = tokenizer.encode_batch_fast(texts.to_pylist(), add_special_tokens=False)
            size, rows = size + texts.nbytes, rows + len(found) // 2
            if rows >= job.slice_rows:
                break
        return {"bytes": size, "rows": rows}

    return work


# -- ours


def ours(job: Job) -> Callable[[], dict[str, Any]]:
    """`ot subset`, with the index of the rows if there is one."""
    from openthoughts_cli.config.subset import SubsetConfig
    from openthoughts_cli.data.subset import build_subset

    config = SubsetConfig(
        dataset=str(job.corpus),
        domain=("math",),
        max_tokens=job.max_tokens,
        limit=job.limit,
        seed=SEED,
        tokenizer=str(job.tokenizer),
        name="subset",
        output_dir=job.out,
    )

    def work() -> dict[str, Any]:
        subset = build_subset(config)
        return {"chosen": subset.metadata["figures"]["rows"]}

    return work


def ours_index_build(job: Job) -> Callable[[], dict[str, Any]]:
    """`ot index build`."""
    from openthoughts_cli.data.corpus import open_corpus
    from openthoughts_cli.data.counter import open_counter
    from openthoughts_cli.data.index import Index
    from openthoughts_cli.data.index_build import build_index

    def work() -> dict[str, Any]:
        corpus, counter = open_corpus(str(job.corpus)), open_counter(str(job.tokenizer))
        states = build_index(Index(corpus, counter.digest), counter, workers=job.workers)
        return {"rows": corpus.num_rows, "bytes": sum(state.num_bytes for state in states)}

    return work


WAYS: dict[str, Callable[[Job], Callable[[], dict[str, Any]]]] = {
    "estimate": estimate,
    "datasets_filter": datasets_filter,
    "polars_scan": polars_scan,
    "polars_tokenizers": polars_tokenizers,
    "duckdb_stream": duckdb_stream,
    "decode_and_tokenise": decode_and_tokenise,
    "tokenise_slowly": tokenise_slowly,
    "ours_stream": ours,
    "ours_index_build": ours_index_build,
    "ours_with_index": ours,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--max-tokens", type=int, default=4096)
    parser.add_argument("--limit", type=int, default=500)
    parser.add_argument("--slice-rows", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    job = parser.parse_args(namespace=Job())
    job.out.mkdir(parents=True, exist_ok=True)
    work = WAYS[job.way](job)
    started = time.perf_counter()
    result = work()
    print(json.dumps({"work_s": time.perf_counter() - started, **result}))


if __name__ == "__main__":
    main()

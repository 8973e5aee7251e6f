"""Whether what a ranking read of a cell has changed since."""

from __future__ import annotations

from openthoughts_cli.evals.records import EvalDirectory
from openthoughts_cli.stamps import file_stamp
from openthoughts_cli.sweeps.layout import SweepCell

__all__ = ["cell_stamp"]


def cell_stamp(cell: SweepCell, benchmark: str) -> tuple[object, ...]:
    """Another value after any change of what `read_cell` reads for a metric of this benchmark.

    Scores count by their own files: a regrade, or a hand, changes them where the log says nothing
    new, or says it later.
    """
    if cell.run is None:
        return cell.identity, cell.state
    run = cell.run
    files = [run.record_path, run.metrics_path, run.checkpoints_path, run.receipt_path]
    scored = run.path / "evals" / benchmark
    for step in sorted(scored.iterdir()) if scored.is_dir() else ():
        found = EvalDirectory(step)
        files += [found.scores_path, found.samples_path, found.rows_path]
    return cell.identity, cell.state, cell.reason, *map(file_stamp, files)

"""The page "Data set": filter, counts, histograms, table, search, SQL, one row."""

from __future__ import annotations

from openthoughts_cli.explorer.data_set import show

show()

"""A question and an answer as prompt tokens and target tokens: one renderer for all of `ot`."""

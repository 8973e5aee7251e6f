"""A grid of recipes: its cells, their identity, where they run, and what is on disk of them."""

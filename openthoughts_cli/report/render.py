"""Templates of this room to HTML that stands alone: one style, no script, no network."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

__all__ = ["render_page"]


def render_page(template: str, **values: Any) -> str:
    """One of this room's templates as HTML; text is escaped unless it is `Markup`."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    here = files("openthoughts_cli.report")
    style = Markup(here.joinpath("style.css").read_text("utf-8"))
    text = here.joinpath(template).read_text("utf-8")
    return environment.from_string(text).render(style=style, **values)

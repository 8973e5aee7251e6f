"""What a public app takes out of what it shows: the folders of this machine."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from openthoughts_cli import places
from openthoughts_cli.explorer.settings import Settings

__all__ = ["name_shown", "without_folders"]

# A folder may have blanks, brackets or an apostrophe in its name, so a path goes on to the last slash
# of its line: a sentence that loses a few words tells less than one that keeps half of a path.
_INSIDE = r"(?:[^/\n'\":]|(?<=\w)'(?=\w)|:(?!\s|//))"
_OPEN, _CLOSE = "\ue002", "\ue003"
_MARK = re.compile(f"/{_OPEN}(\\d+){_CLOSE}")
_FOLDERS = re.compile(rf"(?<![\w:/])~?/(?=[^\s/]){_INSIDE}*/(?:{_INSIDE}*/)*")


def name_shown(name: str, *, public: bool) -> str:
    """The name of a data set, a file or a model as it is shown; a public app shows no local path.

    A pattern of files is a path that does not exist.
    """
    local = name.startswith(("/", "~", ".")) or Path(name).exists()
    return Path(name).name if public and local else name


def without_folders(text: str, settings: Settings) -> str:
    """A text in which every path of this machine has lost its folders, whatever their names."""
    known = sorted(_known_folders(settings), key=len, reverse=True)
    for number, folder in enumerate(known):
        text = text.replace(folder, f"/{_OPEN}{number}{_CLOSE}")
    text = _FOLDERS.sub("…/", text)
    return _MARK.sub(lambda mark: f"…/{Path(known[int(mark[1])]).name}", text)


def _known_folders(settings: Settings) -> set[str]:
    own = [places.subsets_dir(), places.runs_dir(), places.index_dir(), places.cache_dir()]
    found = {*own, Path.home(), Path.cwd(), Path(tempfile.gettempdir())}
    asked = [Path(name).expanduser() for name in (settings.dataset, settings.tokenizer) if name]
    found |= {path for path in asked if path.exists()}
    absolute = {path.absolute() for path in found}
    spellings = {str(path) for path in absolute | {path.resolve() for path in absolute}}
    spellings |= {str(path) for path in asked if path.exists() and len(path.parts) > 1}
    return spellings - {"/"}

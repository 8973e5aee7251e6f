"""What runs inside the sandbox before the program: drop privileges, set limits, hand over.

This module is never imported there. Its compiled code is read from a file descriptor together with
the job, so that no file of the project is visible inside. It imports only what costs nothing: its
time is paid once a test. Everything here is in the candidate's process and so within its reach;
nothing here is secret, and no verdict is made here.
"""

from __future__ import annotations

import builtins
import posix  # not os, which takes 2 ms and which a program may not need
import resource
import sys

TYPE_CHECKING = False  # importing it from typing would take 10 ms a test
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType
    from typing import Any

__all__ = ["enter"]


def enter(job: dict[str, Any]) -> None:
    """Prepare the process as `job` says, then run its program.

    Keys: `uid` (None, or the real user to become), `limits` (pairs of a resource's number and its
    bound), `files` (relative path to bytes), `environ`, `paths`, `channel` (a descriptor), `nonce`,
    and one of `argv`, `script` with `prelude`, `driver` with `payload`.
    """
    _replace_environment(job["environ"])
    if job["uid"] is not None:
        _become(job["uid"])
    _confine(job["limits"])
    for path, content in job["files"].items():
        _write(path, content)
    sys.path.extend(job["paths"])
    posix.write(job["channel"], job["nonce"])
    if "argv" in job:
        posix.close(job["channel"])
        posix.execve(job["argv"][0], job["argv"], posix.environ)
    _add_site_builtins()
    sys.argv[:] = ["solution.py"]
    if "driver" in job:
        _drive(job["driver"], job["payload"], job["channel"], job["nonce"])
    else:
        posix.close(job["channel"])
        _run_as_main(job["prelude"], job["script"])


def _replace_environment(environ: dict[bytes, bytes]) -> None:
    """Before `os` is imported, which copies it: for this process and for C libraries."""
    for name in list(posix.environ):
        posix.unsetenv(name)
    posix.environ.clear()
    posix.environ.update(environ)
    for name, value in environ.items():
        posix.putenv(name, value)


def _write(path: str, content: bytes) -> None:
    """A new file, and the folders above it."""
    folders = path.split("/")[:-1]
    for depth in range(1, len(folders) + 1):
        try:
            posix.mkdir("/".join(folders[:depth]))
        except FileExistsError:
            continue
    with open(path, "xb") as file:  # noqa: PTH123 - pathlib costs an import of 5 ms
        file.write(content)


def _become(uid: int) -> None:
    """Leave root for a user that nobody else has; all capabilities go with it.

    RLIMIT_NPROC is counted by real user and never enforced for root.
    """
    posix.setgroups([])
    posix.setresgid(uid, uid, uid)
    posix.setresuid(uid, uid, uid)


def _confine(limits: list[tuple[int, int]]) -> None:
    """Lower each limit, soft and hard, never above what the parent already had."""
    for which, bound in limits:
        _, hard = resource.getrlimit(which)
        if hard != resource.RLIM_INFINITY:
            bound = min(bound, hard)
        resource.setrlimit(which, (bound, bound))


def _add_site_builtins() -> None:
    """`quit` and `exit`, which the skipped module `site` would have defined."""
    import _sitebuiltins

    for name in ("quit", "exit"):
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D"))


def _run_as_main(prelude: str, source: str) -> None:
    """Run `source` as a real `__main__`: guards, pickling, `__future__` imports and atexit work."""
    main = type(sys)("__main__")
    main.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = main
    code = compile(source, "solution.py", "exec", dont_inherit=True)
    if prelude:
        exec(compile(prelude, "<prelude>", "exec", dont_inherit=True), main.__dict__)
    exec(code, main.__dict__)


def _drive(driver: CodeType, payload: dict[str, Any], channel: int, nonce: bytes) -> None:
    """Run the driver's `main(payload, send)`.

    `send(bytes)` replies, framed by the nonce; `send(None)` gives the reply up. Both close the
    channel, so that a program started after it cannot touch it.
    """

    def send(reply: bytes | None) -> None:
        if reply is not None:
            data = memoryview(len(reply).to_bytes(8, "big") + reply + nonce)
            while data:
                data = data[posix.write(channel, data) :]
        posix.close(channel)

    namespace: dict[str, Any] = {"__name__": "driver", "__builtins__": builtins}
    exec(driver, namespace)
    main: Callable[[dict[str, Any], Callable[[bytes | None], None]], None] = namespace["main"]
    main(payload, send)

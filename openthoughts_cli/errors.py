"""What can go wrong, as types. Each carries one sentence, a remedy and an exit code.

    OtError                     exit 1   anything this tool refuses or fails at
    ├── UsageError              exit 2   the command line or a name in it
    │   ├── ConfigError         exit 2   a config file, a key or a value
    │   └── NotFoundError       exit 2   a subset, run, source or benchmark that does not exist
    ├── DataError               exit 1   rows, parquet files, subsets
    │   ├── SchemaError         exit 1   a file without the columns of the OpenThoughts schema
    │   ├── BrokenFileError     exit 1   a file that cannot be read to its end
    │   ├── EmptyResultError    exit 1   filters that leave nothing
    │   └── IntegrityError      exit 1   bytes whose digest is not the recorded one
    ├── NetworkError            exit 1   a hub, registry or service that cannot be reached
    ├── EngineError             exit 1   training or sampling
    │   ├── ModelError          exit 1   a model that is not served, not trainable or too short
    │   └── AuthError           exit 1   credentials missing or refused
    ├── SandboxError        exit 1   model-written code that cannot be isolated on this system
    ├── MissingExtraError       exit 1   an optional dependency that is not installed
    ├── ConflictError           exit 1   something else is there: a name taken, a directory locked
    │   └── InUseError          exit 1   a run's directory that another process works in
    ├── StorageError            exit 1   a full disk, a directory that cannot be written
    ├── ConfirmationError       exit 1   spending that nobody agreed to
    ├── PartialError            exit 3   some of the parts failed, the others are kept
    ├── BudgetError             exit 4   the money limit was reached, a checkpoint is kept
    └── InterruptedByUser       exit 130 Ctrl-C; what was finished is kept

A new kind of failure is a new class here, so that one page can list them all.
"""

from __future__ import annotations

from typing import ClassVar

from openthoughts_cli.redaction import redact

__all__ = [
    "AuthError",
    "BrokenFileError",
    "BudgetError",
    "ConfigError",
    "ConfirmationError",
    "ConflictError",
    "DataError",
    "EmptyResultError",
    "EngineError",
    "InUseError",
    "IntegrityError",
    "InterruptedByUser",
    "MissingExtraError",
    "ModelError",
    "NetworkError",
    "NotFoundError",
    "OtError",
    "PartialError",
    "SandboxError",
    "SchemaError",
    "StorageError",
    "UsageError",
]


class OtError(Exception):
    """A failure of no more special kind; every kind below is one of these."""

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "failed"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Both may quote a server or a library and go into logs: secrets are taken out at once.

        Args:
            message: one sentence: what is wrong and where (file:line, key, flag).
            hint: what to do about it; printed on a line of its own.
        """
        message = redact(message)
        super().__init__(message)
        self.message = message
        self.hint = redact(hint) if hint else hint


class UsageError(OtError):
    """An option, an argument or a combination of them that cannot be."""

    exit_code = 2
    code = "usage"


class ConfigError(UsageError):
    """A config file, key or value is wrong."""

    code = "config"


class NotFoundError(UsageError):
    """A name that does not exist; the message lists those that do."""

    code = "not-found"


class DataError(OtError):
    """Rows or files that cannot be used."""

    code = "data"


class SchemaError(DataError):
    """A file that lacks the columns or types of the OpenThoughts schema."""

    code = "data.schema"


class BrokenFileError(DataError):
    """A file that is cut off or damaged."""

    code = "data.broken"

    def __init__(self, message: str, *, file: str = "", hint: str | None = None) -> None:
        """`file`: the file's name as the message has it."""
        super().__init__(message, hint=hint)
        self.file = file


class EmptyResultError(DataError):
    """Nothing is left after the filters."""

    code = "data.empty"


class IntegrityError(DataError):
    """A file whose digest differs from the recorded one."""

    code = "data.integrity"


class NetworkError(OtError):
    """A host that cannot be reached, or that answers with an error."""

    code = "network"


class EngineError(OtError):
    """Training or sampling failed."""

    code = "engine"


class ModelError(EngineError):
    """The model is unknown to the engine, not trainable, or its context is too short."""

    code = "engine.model"


class AuthError(EngineError):
    """Credentials are missing, malformed or refused."""

    code = "engine.auth"


class SandboxError(OtError):
    """Model-written code cannot be isolated here, or its surroundings could not be built."""

    code = "sandbox"


class MissingExtraError(OtError):
    """A package of an optional extra is needed and absent."""

    code = "missing-extra"


class ConflictError(OtError):
    """The place is taken: a name in use, a directory locked by another process."""

    code = "conflict"


class InUseError(ConflictError):
    """Another process works in the run's directory; it is free once that one ends."""

    code = "in-use"


class StorageError(OtError):
    """The disk is full, or a file or directory cannot be read or written."""

    code = "storage"


class ConfirmationError(OtError):
    """Nobody agreed to the spending that the plan shows."""

    code = "not-confirmed"


class PartialError(OtError):
    """Some parts failed; what succeeded is kept."""

    exit_code = 3
    code = "partial"


class BudgetError(OtError):
    """The money limit was reached; the work stopped at a checkpoint."""

    exit_code = 4
    code = "budget"


class InterruptedByUser(OtError):
    """Stopped by Ctrl-C; what was finished is kept."""

    exit_code = 130
    code = "interrupted"

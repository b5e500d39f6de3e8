"""Errors of data sets; each message is one line that says what would be right."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class DataNotFound(FileNotFoundError):
    """A data set's files are not where they should be; the message says what to put where.

    Args:
        missing: what is not where.
        advice: where to get it and where to put it, where that isn't said already.
    """

    def __init__(self, missing: str, advice: str = ""):
        super().__init__(f"{missing}; {advice}" if advice else missing)
        self.missing, self.advice = missing, advice


class DataMismatch(ValueError):
    """The options do not fit the data; the message says what would."""


class DataCorrupt(DataMismatch):
    """Files are there but are not what they should be; the message names them."""


@contextmanager
def as_published(file: Path) -> Iterator[None]:
    """Context in which any error of reading a published file becomes DataCorrupt, naming the file."""
    try:
        yield
    except (DataCorrupt, MemoryError):
        raise
    except Exception as error:  # whatever a damaged or hostile file makes the readers raise
        gone = isinstance(error, FileNotFoundError)
        what = "missing" if gone else f"cut short or not the published file ({error})"
        raise DataCorrupt(f"{file}: {what}; get it again") from error

"""What can be wrong with a data set; each message is one line that says what would be right."""


class DataNotFound(FileNotFoundError):
    """A data set's files are not where they should be; the message says what to put where."""


class DataMismatch(ValueError):
    """The options do not fit the data; the message says what would."""


class DataCorrupt(DataMismatch):
    """Files are there but are not what they should be; the message names them."""

"""Settings from files: JSON or TOML in, frozen records out, everything that is wrong told at once.

A file is read as plain data (:func:`load_file`), and plain data becomes a frozen ``attrs`` class
(:func:`structure`). Nothing is coerced: ``"5"`` is no number, ``1`` is not true, ``true`` is not 1, text is no list.
Unknown keys are refused with the nearest known one. What is wrong is collected and raised as one
:class:`~selfheal.errors.InvalidConfigError`, each problem with its path in the file.
"""

from selfheal.configuring.files import MAX_FILE_BYTES, load_file, parse_bytes, read_bytes
from selfheal.configuring.likeness import nearest
from selfheal.configuring.structuring import StructuredBy, choices, structure

__all__ = [
    "MAX_FILE_BYTES",
    "StructuredBy",
    "choices",
    "load_file",
    "nearest",
    "parse_bytes",
    "read_bytes",
    "structure",
]

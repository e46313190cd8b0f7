"""Tables made into records: every field is structured and validated, whatever is wrong with the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from selfheal.configuring.likeness import nearest
from selfheal.configuring.refusals import RefusedError, placed
from selfheal.errors import ConfigError

if TYPE_CHECKING:
    from cattrs import Converter

_MOST_MEANT = 8
"""Unknown keys of one table for which the nearest known one is looked up: that takes time."""


@attrs.frozen
class _Field:
    """One field of a record: how it is made, found out once for each class.

    Args:
        key: what it is called in a file.
        kind: its type.
        hook: makes it of plain data.
        required: whether it has no default.
        attribute: the field itself.
    """

    key: str
    kind: Any
    hook: Callable[[Any, Any], Any]
    required: bool
    attribute: attrs.Attribute[Any]


class Recording:
    """Makes records of one class. What a class takes is found out when the first one is made: it may hold itself."""

    def __init__(self, converter: Converter, cls: Any) -> None:
        self._converter, self._cls = converter, cls
        self._fields: tuple[_Field, ...] | None = None
        self._known = ""

    def __call__(self, value: Any, asked: Any) -> Any:
        """The record; ``value`` itself if it is one already."""
        if isinstance(value, self._cls):
            return value
        if type(value) is not dict and not isinstance(value, Mapping):
            raise RefusedError(value, "a table with text keys")
        fields = self._fields if self._fields is not None else self._found()
        given: dict[str, Any] = {}
        wrong: dict[str, Exception] = {}
        for field in fields:
            key = field.key
            if key in value:
                try:
                    given[key] = field.hook(value[key], field.kind)
                except Exception as error:
                    wrong[key] = placed(error, key)
            elif field.required:
                wrong[key] = placed(RefusedError(attrs.NOTHING, "given"), key)
        if wrong or len(given) != len(value):
            raise self._refused(value, given, wrong)
        try:
            return self._cls(**given)
        except ConfigError as error:
            raise self._refused(value, given, wrong, error) from None

    def _found(self) -> tuple[_Field, ...]:
        found = []
        for field in attrs.fields(attrs.resolve_types(self._cls)):
            kind: Any = Any if field.type is None else field.type
            hook = self._converter.get_structure_hook(kind)
            if field.init:
                found.append(_Field(field.alias, kind, hook, field.default is attrs.NOTHING, field))
        self._known = ", ".join(sorted(field.key for field in found)) or "there is none"
        self._fields = tuple(found)
        return self._fields

    def _refused(
        self, value: Mapping[Any, Any], given: Mapping[str, Any], wrong: dict[str, Exception], whole: Any = None
    ) -> Exception:
        """All that is wrong, in the order of the fields; what the record says as a whole if nothing else is."""
        from cattrs import ClassValidationError

        if not all(isinstance(key, str) for key in value):
            return RefusedError(value, "a table with text keys")
        fields = {field.key: field for field in self._fields or ()}
        told = []
        for key, field in fields.items():
            error = self._invalid(field.attribute, given[key]) if key in given else None
            if error is not None:
                told.append(placed(error, key))
            elif key in wrong:
                told.append(wrong[key])
        unknown = [key for key in value if key not in fields]
        told += [placed(self._unknown(key, fields if n < _MOST_MEANT else ()), key) for n, key in enumerate(unknown)]
        return ClassValidationError(f"{self._cls.__name__} is not accepted", told or [whole], self._cls)

    def _unknown(self, key: str, meant: Iterable[str]) -> RefusedError:
        near = nearest(key, meant)
        guess = f"; did you mean {near!r}?" if near else ""
        return RefusedError(key, f"a known key ({self._known}{guess})")

    def _invalid(self, field: attrs.Attribute[Any], made: Any) -> Exception | None:
        """What the field's validator says against a value."""
        convert: Any = field.converter
        validator: Any = field.validator
        try:
            checked = made if convert is None else convert(made)
            if validator is not None:
                validator(self._cls.__new__(self._cls), field, checked)  # only the class of the owner is looked at
        except Exception as error:
            return error
        return None

"""What a REST request asks for: query, JSON or form, read strictly and complained about in Grape's words."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from attrs import frozen
from werkzeug.http import parse_options_header

from registry.domain.errors import InvalidParameters
from registry.domain.paths import id_in

_TRUE, _FALSE = {"true", "t", "1", "yes", "on"}, {"false", "f", "0", "no", "off"}
# Longer than any text this API keeps; what is longer is refused before it is looked at.
TEXT_LIMIT = 2000
# How many parameters one request may carry.
_MOST = 1000


@frozen
class Params:
    """The parameters of one request by name. Every accessor raises `InvalidParameters` with Grape's sentence; unknown names are ignored."""

    values: Mapping[str, Any]

    def given(self, name: str) -> bool:
        """Whether the request names it at all."""
        return name in self.values

    def require(self, *names: str) -> None:
        """All of them must be given and not be empty; what is wrong is told about all at once (Grape)."""
        missing = [name for name in names if self.values.get(name) is None]
        empty = [name for name in names if isinstance(self.values.get(name), str) and not self.values[name].strip()]
        problems = [*(f"{name} is missing" for name in missing), *(f"{name} is empty" for name in empty)]
        if problems:
            raise InvalidParameters(problem=", ".join(problems))

    def text(self, name: str, default: str | None = None, *, limit: int = TEXT_LIMIT) -> str:
        """A text; without `default` it must be given and not empty."""
        value = self.optional_text(name, limit=limit)
        if value is None:
            if default is None:
                raise InvalidParameters(problem=f"{name} is missing")
            return default
        if not value.strip() and default is None:
            raise InvalidParameters(problem=f"{name} is empty")
        return value

    def optional_text(self, name: str, *, limit: int = TEXT_LIMIT) -> str | None:
        """A text, or None when it is not given or null."""
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, bool | list | dict):
            raise InvalidParameters(problem=f"{name} is invalid")
        return _storable(name, str(value), limit)

    def integer(self, name: str, default: int | None = None) -> int:
        """A whole number that is not negative; without `default` it must be given."""
        value = self.optional_integer(name)
        if value is not None:
            return value
        if default is None:
            raise InvalidParameters(problem=f"{name} is missing")
        return default

    def optional_integer(self, name: str) -> int | None:
        """A whole number that is not negative, or None."""
        value = self.values.get(name)
        if value is None or value == "":
            return None
        found = None if isinstance(value, bool | float | list | dict) else id_in(str(value))
        if found is None:
            raise InvalidParameters(problem=f"{name} is invalid")
        return found

    def flag(self, name: str, *, default: bool = False) -> bool:
        """True or false."""
        value = self.values.get(name)
        if value is None:
            return default
        word = str(value).lower()
        if isinstance(value, list | dict) or word not in _TRUE | _FALSE:
            raise InvalidParameters(problem=f"{name} is invalid")
        return word in _TRUE

    def choice(self, name: str, allowed: Sequence[str], default: str | None = None) -> str:
        """One of `allowed`; without `default` it must be given."""
        value = self.text(name, default)
        if value not in allowed:
            raise InvalidParameters(problem=f"{name} does not have a valid value")
        return value

    def optional_choice(self, name: str, allowed: Sequence[str]) -> str | None:
        """One of `allowed`, or None when it is not given or null or empty."""
        value = self.optional_text(name)
        if not value:
            return None
        return self.choice(name, allowed)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts: a JSON array, `name[]=a&name[]=b`, or one text with commas. Empty when not given."""
        value = self.values.get(name)
        if value is None:
            return ()
        items = value if isinstance(value, list) else str(value).split(",")
        if isinstance(value, dict) or any(not isinstance(item, str) for item in items) or len(items) > _MOST:
            raise InvalidParameters(problem=f"{name} is invalid")
        return tuple(_storable(name, item.strip(), TEXT_LIMIT) for item in items if item.strip())

    def moment(self, name: str) -> datetime | None:
        """An ISO 8601 time with a zone, or None."""
        text = self.optional_text(name)
        if not text:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise InvalidParameters(problem=f"{name} is invalid") from None
        if moment.tzinfo is None:
            raise InvalidParameters(problem=f"{name} is invalid: give its time zone, such as 2030-01-31T12:00:00Z")
        return moment


def _storable(name: str, text: str, limit: int) -> str:
    if "\0" in text:
        raise InvalidParameters(problem=f"{name} is invalid")
    if len(text) > limit:
        raise InvalidParameters(problem=f"{name} is too long (maximum is {limit} characters)")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidParameters(problem=f"{name} is invalid") from None
    return text


def read_params(query: bytes, content_type: str | None, body: bytes) -> Params:
    """The parameters in query and body; the body's win. Raises `InvalidParameters` for a body that is not what it says it is."""
    values = _pairs(query.decode("utf-8", "replace"))
    kind, _ = parse_options_header(content_type)
    if not body:
        return Params(values)
    if kind == "application/json":
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            raise InvalidParameters(problem="The request body is not valid JSON") from None
        if not isinstance(found, dict):
            raise InvalidParameters(problem="The request body must be a JSON object")
        return Params({**values, **found})
    if kind == "application/x-www-form-urlencoded":
        return Params({**values, **_pairs(body.decode("utf-8", "replace"))})
    raise InvalidParameters(problem="The request body must be application/json or application/x-www-form-urlencoded")


def _pairs(text: str) -> dict[str, Any]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST)
    except ValueError:
        raise InvalidParameters(problem=f"There are more than {_MOST} parameters") from None
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name.endswith("[]"):
            values.setdefault(name[:-2], []) if isinstance(values.get(name[:-2], []), list) else values.update({name[:-2]: []})
            values[name[:-2]].append(value)
        else:
            values[name] = value
    return values

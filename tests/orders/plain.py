"""Values and messages as dicts and lists, so that they can be compared with each other."""

from typing import Any

import msgspec
from google.protobuf.json_format import MessageToDict


def stored(value: Any) -> Any:
    """A value as dicts and lists."""
    return msgspec.json.decode(msgspec.json.encode(value))


def plain(message: Any) -> Any:
    """A message as dicts and lists, with its 64-bit integers as integers and codes by name."""
    return _numbers(
        MessageToDict(
            message,
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
    )


def _numbers(value: Any) -> Any:
    match value:
        case dict():
            return {
                key: int(item) if key in {"minor_units", "version"} else _numbers(item)
                for key, item in value.items()
            }
        case list():
            return [_numbers(item) for item in value]
        case str():
            return value.removeprefix("CANCEL_REASON_")
        case _:
            return value

"""Settings of a process: flags over environment over defaults, every fault reported at once."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import click
from pydantic import AfterValidator, Field, ValidationError
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from eventcore.errors import StartFailed
from eventcore.process.address import ListenAddress

ENV_PREFIX = "ORDERES_"
SHOWN_VALUE_LENGTH_MAX = 80

HIDDEN: JsonDict = {"hidden": True}
"""As `json_schema_extra` of a field: `--help` does not show its flag."""

_WHOLE_NUMBER = "must be a whole number"
_NUMBER = "must be a number"

_ALLOWED = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "literal_error": "must be {expected}",
    "int_parsing": _WHOLE_NUMBER,
    "int_parsing_size": _WHOLE_NUMBER,
    "int_from_float": _WHOLE_NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "value_error": "{error}",
}
"""What is allowed, by the type of pydantic's error; for any other its own message stands."""

F = TypeVar("F", bound=Callable[..., Any])


def _check_address(text: str) -> str:
    ListenAddress.parse(text)
    return text


Address = Annotated[str, AfterValidator(_check_address)]
"""host:port to listen at; port 0 lets the system choose a free one."""


class ProcessSettings(BaseSettings):
    """What every process can be told. A process adds its own fields in a subclass.

    The name of a field is unique across the processes: it is the flag and, with the prefix, the
    environment variable. Its description is the help of the flag.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        validate_default=True,
    )

    data_dir: Path = Field(
        default=Path("data"),
        description="Directory of the databases; made if it is missing.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log line to write."
    )
    log_format: Literal["json", "console"] = Field(
        default="json", description="Log lines for machines, or for people."
    )
    # Ample for what is at work, shorter than what orchestrators give (30 s). A call may ask to wait
    # longer than this: one that still waits for its command then is told to repeat it, and a query
    # that waits for news is told so at once.
    shutdown_grace_seconds: float = Field(
        default=10.0,
        ge=0,
        le=300,
        description="How long calls under way may take to finish after SIGTERM.",
    )
    supervisor_fd: int | None = Field(
        default=None,
        ge=0,
        description="Read end of a pipe; when it closes, the process drains and exits.",
        json_schema_extra=HIDDEN,
    )


S = TypeVar("S", bound=ProcessSettings)


def load_settings(settings_class: type[S], flags: Mapping[str, object]) -> S:
    """The settings from flags, environment and defaults, in this order.

    Args:
        settings_class: Of which process.
        flags: By name of field; None means not given, and what the process does not know is left
            to the others.

    Raises:
        StartFailed: the message has a line for every fault, with the flag, the variable and what
            is allowed.
    """
    given: dict[str, Any] = {
        name: value
        for name, value in flags.items()
        if value is not None and name in settings_class.model_fields
    }
    try:
        return settings_class(**given)
    except ValidationError as error:
        faults = [_fault_line(fault) for fault in error.errors()]
        raise StartFailed("wrong settings\n  " + "\n  ".join(faults)) from None


def settings_options(*settings_classes: type[ProcessSettings]) -> Callable[[F], F]:
    """A decorator that gives a click command a flag for each field of the classes.

    Flags take text, so that `load_settings` can check them all at once; one that is not given is
    passed as None.
    """
    fields: dict[str, FieldInfo] = {}
    for settings_class in settings_classes:
        fields |= settings_class.model_fields

    def decorate(function: F) -> F:
        for name, field in reversed(fields.items()):
            function = _option(name, field)(function)
        return function

    return decorate


def _option(name: str, field: FieldInfo) -> Callable[[F], F]:
    default = "" if field.default is None else f"; default: {field.default}"
    return click.option(
        flag_of(name),
        name,
        type=click.STRING,
        default=None,
        metavar=_metavar(field),
        hidden=field.json_schema_extra == HIDDEN,
        help=f"{field.description} [env: {variable_of(name)}{default}]",
    )


def flag_of(name: str) -> str:
    """The flag of a field, as in "--queue-capacity"."""
    return "--" + name.replace("_", "-")


def variable_of(name: str) -> str:
    """The environment variable of a field, as in "ORDERES_QUEUE_CAPACITY"."""
    return ENV_PREFIX + name.upper()


def _metavar(field: FieldInfo) -> str:
    if any(isinstance(item, AfterValidator) for item in field.metadata):
        return "HOST:PORT"
    annotation = field.annotation
    for choice in (annotation, *get_args(annotation)):  # It may be Literal[…] | None.
        if get_origin(choice) is Literal:
            return "[" + "|".join(map(str, get_args(choice))) + "]"
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    kind = kinds[0] if kinds else annotation
    if kind is int:
        return "INTEGER"
    if kind is float:
        return "NUMBER"
    return "PATH" if kind is Path else "TEXT"


def _fault_line(fault: ErrorDetails) -> str:
    name = str(fault["loc"][0])
    shown = str(fault["input"])
    if len(shown) > SHOWN_VALUE_LENGTH_MAX:
        shown = shown[:SHOWN_VALUE_LENGTH_MAX] + "..."
    return f"{flag_of(name)} ({variable_of(name)}): is {shown}, {_allowed(fault)}"


def _allowed(fault: ErrorDetails) -> str:
    form = _ALLOWED.get(fault["type"])
    if form is None:
        return fault["msg"]
    context = fault.get("ctx", {})
    return form.format(**{name: _shown(value) for name, value in context.items()})


def _shown(bound: object) -> object:
    """300 for 300.0, as one would type it."""
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound

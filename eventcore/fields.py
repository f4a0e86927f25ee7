"""Checks of form that name every wrong field of a request at once."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from eventcore.errors import FieldViolation, InvalidFields

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_COMMAND_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")

_NANOS_IN_SECOND = 1_000_000_000

DURATION_SECONDS_MAX = 315_576_000_000
"""What google.protobuf.Duration can hold: 10 000 years."""


class FieldFaults:
    """Collects what is wrong with a request, field by field, until `raise_if_any`.

    Each check returns the value in the form in which the rest of the house uses it, or a harmless
    stand-in of the same type when it is wrong (empty text, the least number allowed), so that one
    pass can name all faults. No description repeats the text that it complains about.
    """

    def __init__(
        self, violations: Iterable[FieldViolation] = (), *, prefix: str = ""
    ) -> None:
        """Goes on from violations that were found before.

        Args:
            violations: They are named as they are.
            prefix: Stands before the name of every field that is found wrong from now on, as in
                "commands[3].".
        """
        self._violations = list(violations)
        self._prefix = prefix

    @property
    def violations(self) -> Sequence[FieldViolation]:
        """What is wrong so far."""
        return self._violations

    def add(self, field: str, description: str) -> None:
        """Names a fault."""
        self._violations.append(FieldViolation(self._prefix + field, description))

    def extend(self, violations: Iterable[FieldViolation]) -> None:
        """Takes over faults that other checks have named."""
        self._violations.extend(violations)

    def raise_if_any(self) -> None:
        """Ends the checks.

        Raises:
            InvalidFields: at least one field is wrong.
        """
        if self._violations:
            raise InvalidFields(self._violations)

    def text(
        self, field: str, value: str, *, max_length: int, required: bool = True
    ) -> str:
        """Text of 1 to `max_length` characters, none of them a control character."""
        if not value:
            if required:
                self.add(field, f"required: 1 to {max_length} characters")
        elif len(value) > max_length:
            self.add(
                field,
                f"has {len(value)} characters, at most {max_length} are allowed",
            )
            return ""
        elif not value.isprintable() and any(
            unicodedata.category(character) == "Cc" for character in value
        ):
            self.add(field, "must not contain control characters")
            return ""
        return value

    def matching(
        self, field: str, value: str, pattern: re.Pattern[str], *, wanted: str
    ) -> str:
        """Required text that the whole of `pattern` matches; `wanted` says so in words."""
        if pattern.fullmatch(value):
            return value
        self.add(field, f"must be {wanted}" if value else f"required: {wanted}")
        return ""

    def uuid(self, field: str, value: str, *, required: bool = True) -> str:
        """A UUID, in its canonical lower-case form."""
        if not value and not required:
            return ""
        return self.matching(
            field,
            value,
            _UUID,
            wanted="a UUID, like 0190a6b2-7c1e-7d3f-8a4b-5c6d7e8f9a0b",
        ).lower()

    def command_id(self, field: str, value: str) -> str:
        """An idempotency key: 1 to 64 of [A-Za-z0-9._:-]."""
        return self.matching(
            field,
            value,
            _COMMAND_ID,
            wanted="1 to 64 of [A-Za-z0-9._:-], best a UUIDv7",
        )

    def integer(
        self, field: str, value: int, *, minimum: int, maximum: int | None = None
    ) -> int:
        """A whole number within bounds."""
        if maximum is None:
            if value >= minimum:
                return value
            self.add(field, f"is {value}, must be at least {minimum}")
        elif minimum <= value <= maximum:
            return value
        else:
            self.add(field, f"is {value}, must be {minimum} to {maximum}")
        return minimum

    def duration(
        self, field: str, *, seconds: int, nanos: int, longest_seconds: float
    ) -> float:
        """A span of time in seconds, 0 or more; what is longer than the longest is cut to it.

        The parts are those of google.protobuf.Duration, which may be out of their ranges or of
        different signs.
        """
        return min(self._span(field, seconds, nanos) or 0.0, longest_seconds)

    def duration_between(
        self,
        field: str,
        *,
        seconds: int,
        nanos: int,
        shortest_seconds: float,
        longest_seconds: float = DURATION_SECONDS_MAX,
    ) -> float:
        """A span of time in seconds, within bounds. The parts are as for `duration`."""
        span = self._span(field, seconds, nanos)
        if span is None or shortest_seconds <= span <= longest_seconds:
            return span or shortest_seconds
        bounds = f"at least {shortest_seconds:g} s"
        if longest_seconds < DURATION_SECONDS_MAX:
            bounds = f"{shortest_seconds:g} s to {longest_seconds:g} s"
        self.add(field, f"is {span:g} s, must be {bounds}")
        return shortest_seconds

    def _span(self, field: str, seconds: int, nanos: int) -> float | None:
        """The span in seconds; None after its fault is named."""
        if 0 <= seconds <= DURATION_SECONDS_MAX and 0 <= nanos < _NANOS_IN_SECOND:
            return seconds + nanos / _NANOS_IN_SECOND
        self.add(field, "must not be negative, and nanos must be less than a second")
        return None

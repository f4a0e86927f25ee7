"""A failed call, or a failed command, taken apart: what the server says beyond its status."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from orderes.v1.errors_pb2 import CommandError, ErrorReason

ERROR_DOMAIN = "orderes"
STATUS_DETAILS_KEY = "grpc-status-details-bin"
PUSHBACK_KEY = "grpc-retry-pushback-ms"

DO_NOT_RETRY_MILLISECONDS = -1
"""What a pushback that is no number means, as one below zero does:
https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback."""

SUBJECT_FACTS = ("command_id", "order_id", "violations_total")
"""Facts that stand beside the wrong fields of a command in a stream."""

_REASON_PREFIX = "ERROR_REASON_"
_CODES: Mapping[int, grpc.StatusCode] = {
    code.value[0]: code for code in grpc.StatusCode
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldFault:
    """A field that the server calls wrong."""

    field: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a call, or one command of several, failed."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    """Of the service; empty where the answer is the library's own, as when nobody listens."""
    rule: str = ""
    facts: Mapping[str, str]
    field_faults: tuple[FieldFault, ...] = ()
    retry_delay_seconds: float | None = None
    pushback_milliseconds: int | None = None
    """Below zero: do not retry."""
    status: status_pb2.Status
    """All of it, as google.rpc.Status."""


def failure_of(call: grpc.RpcError) -> Failure:
    """Takes a failed call of grpc or grpc.aio apart; unknown details are left out."""
    # The stubs promise another type than the library returns.
    metadata = cast("Iterable[tuple[str, str | bytes]]", call.trailing_metadata() or ())
    trailers = dict(metadata)
    status = _status(call, trailers)
    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    precondition = error_details_pb2.PreconditionFailure()
    retry = error_details_pb2.RetryInfo()
    has_retry = False
    for detail in status.details:
        for message in (info, bad_request, precondition):
            _unpack(detail, message)
        has_retry = _unpack(detail, retry) or has_retry
    ours = info.domain == ERROR_DOMAIN
    violations = precondition.violations
    return Failure(
        code=call.code(),
        message=status.message,
        reason=info.reason if ours else "",
        rule=violations[0].type if violations else "",
        facts=dict(info.metadata) if ours else {},
        field_faults=tuple(
            FieldFault(field=violation.field, description=violation.description)
            for violation in bad_request.field_violations
        ),
        retry_delay_seconds=(
            retry.retry_delay.ToTimedelta().total_seconds() if has_retry else None
        ),
        pushback_milliseconds=_pushback(trailers),
        status=status,
    )


def failure_in(error: CommandError) -> Failure:
    """Takes the error that is kept with a command, or is its result in a batch or a stream, apart:
    it says the same as the error of a call would.
    """
    reason = _reason(error.reason)
    facts = dict(error.metadata)
    wrong = facts.keys() - SUBJECT_FACTS if reason == "INVALID_FIELDS" else set()
    return Failure(
        code=_CODES.get(error.code, grpc.StatusCode.UNKNOWN),
        message=error.message,
        reason=reason,
        rule=error.rule,
        facts={name: text for name, text in facts.items() if name not in wrong},
        field_faults=tuple(
            FieldFault(field=name, description=facts[name]) for name in sorted(wrong)
        ),
        retry_delay_seconds=(
            error.retry_delay.ToTimedelta().total_seconds()
            if error.HasField("retry_delay")
            else None
        ),
        status=status_pb2.Status(code=error.code, message=error.message),
    )


def failure_here(code: grpc.StatusCode, message: str) -> Failure:
    """What this side found out by itself."""
    number: int = code.value[0]
    status = status_pb2.Status(code=number, message=message)
    return Failure(code=code, message=message, facts={}, status=status)


def _status(
    call: grpc.RpcError, trailers: Mapping[str, str | bytes]
) -> status_pb2.Status:
    packed = trailers.get(STATUS_DETAILS_KEY)
    number: int = call.code().value[0]
    bare = status_pb2.Status(code=number, message=call.details() or "")
    if not isinstance(packed, bytes):
        return bare
    try:
        return status_pb2.Status.FromString(packed)
    except DecodeError:
        return bare


def _unpack(detail: any_pb2.Any, message: Message) -> bool:
    try:
        return detail.Unpack(message)
    except DecodeError:
        return False


def _pushback(trailers: Mapping[str, str | bytes]) -> int | None:
    told = trailers.get(PUSHBACK_KEY)
    if told is None:
        return None
    try:
        return int(told)
    except ValueError:
        return DO_NOT_RETRY_MILLISECONDS


def _reason(number: ErrorReason.ValueType) -> str:
    """The name of a reason; empty for none, and for one that a newer server knows."""
    if number not in ErrorReason.values() or number == 0:
        return ""
    return ErrorReason.Name(number).removeprefix(_REASON_PREFIX)

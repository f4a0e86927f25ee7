"""A failed call, taken apart: what the server says beyond its status."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

ERROR_DOMAIN = "orderes"
STATUS_DETAILS_KEY = "grpc-status-details-bin"
PUSHBACK_KEY = "grpc-retry-pushback-ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldFault:
    """A field that the server calls wrong."""

    field: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a call failed."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    """Of the service; empty where the answer is the library's own, as when nobody listens."""
    rule: str = ""
    facts: Mapping[str, str]
    field_faults: tuple[FieldFault, ...] = ()
    retry_delay_seconds: float | None = None
    pushback_milliseconds: int | None = None
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
    pushback = trailers.get(PUSHBACK_KEY)
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
        pushback_milliseconds=int(pushback) if pushback is not None else None,
        status=status,
    )


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

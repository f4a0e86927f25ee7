"""When a call is repeated, and how long it waits before that: the one place that decides.

What the contract calls not accepted or unknown is repeated, a command with its command_id, so that
it takes effect once; every other answer is final. gRPC's own retries are off.
"""

import asyncio
import math
import random
from dataclasses import dataclass

from orderes.client.errors import InternalFault, OrderesError, Outcome

GIVE_UP_SECONDS = 120.0
"""How long a broken stream goes on trying to come back, unless it is told otherwise."""

_DOUBLINGS_MAX = 30
"""By then any backoff is at its bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often calls are repeated. The deadline of a call bounds all its attempts together.

    Raises:
        ValueError: a number is out of range.
    """

    attempts_max: int = 20
    """Of one call. With the backoff they take some 15 seconds, so that mostly the deadline comes
    first; 1 repeats nothing."""
    fault_attempts_max: int = 3
    """Those that may end in a fault of the server: repeating one settles what became of the
    command, but a fault that comes back will come back again."""
    backoff_seconds: float = 0.1
    """The longest wait before the second attempt; it doubles with every attempt."""
    backoff_seconds_max: float = 2.0
    """The longest wait at all, unless the server asks for a longer one."""

    def __post_init__(self) -> None:
        if self.attempts_max < 1 or self.fault_attempts_max < 1:
            raise ValueError("attempts_max and fault_attempts_max must be at least 1")
        if not 0 <= self.backoff_seconds <= self.backoff_seconds_max < math.inf:
            raise ValueError(
                "backoff_seconds must be between 0 and backoff_seconds_max"
            )


class Repeating:
    """The attempts of one call."""

    def __init__(
        self, policy: RetryPolicy, *, seconds: float, attempts_max: int | None = None
    ) -> None:
        """`seconds` is for all attempts together; no `attempts_max`: as many as it takes."""
        self._policy = policy
        self._clock = asyncio.get_running_loop().time
        self._end = self._clock() + seconds
        self._attempts_max = attempts_max
        self._attempts = 0
        self._faults = 0
        self._is_unknown = False

    @property
    def seconds_left(self) -> float:
        """Until the deadline."""
        return self._end - self._clock()

    async def wait_after(self, error: OrderesError) -> None:
        """Waits until it is time for the next attempt.

        Raises:
            OrderesError: the same error, where there is no next attempt.
        """
        self._attempts += 1
        self._faults += isinstance(error, InternalFault)
        self._is_unknown |= error.outcome is Outcome.UNKNOWN
        delay = self._delay_seconds(error)
        if not self._may_repeat(error) or delay >= self.seconds_left:
            if self._is_unknown and error.outcome is Outcome.NOT_ACCEPTED:
                # An attempt before this one may still have come through.
                error.outcome = Outcome.UNKNOWN
            raise error
        await asyncio.sleep(delay)

    def _may_repeat(self, error: OrderesError) -> bool:
        pushback = error.failure.pushback_milliseconds
        return (
            error.retryable
            and (self._attempts_max is None or self._attempts < self._attempts_max)
            and self._faults < self._policy.fault_attempts_max
            and (pushback is None or pushback >= 0)
        )

    def _delay_seconds(self, error: OrderesError) -> float:
        """What the server asks for, if that is longer than the backoff, which is fully jittered:
        https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
        """
        doublings = min(self._attempts - 1, _DOUBLINGS_MAX)
        longest = min(
            self._policy.backoff_seconds * 2**doublings,
            self._policy.backoff_seconds_max,
        )
        backoff = random.uniform(0, longest)  # noqa: S311  # No secret.
        return max(backoff, error.retry_delay_seconds or 0.0)


class Patience:
    """How long a stream that broke goes on trying to come back: counted from its first failure
    after it has made progress.
    """

    def __init__(self, policy: RetryPolicy, *, give_up_seconds: float | None) -> None:
        """Without `give_up_seconds` it never gives up."""
        self._policy = policy
        self._seconds = math.inf if give_up_seconds is None else give_up_seconds
        self._repeating: Repeating | None = None

    def progressed(self) -> None:
        """What failed before is forgotten."""
        self._repeating = None

    async def wait_after(self, error: OrderesError) -> None:
        """Waits until it is time to come back.

        Raises:
            OrderesError: the same error: it does not pass, or there was no progress for too long.
        """
        if self._repeating is None:
            self._repeating = Repeating(self._policy, seconds=self._seconds)
        await self._repeating.wait_after(error)

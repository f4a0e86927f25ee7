"""How many calls each connection has under way, so that one client cannot take all the memory."""

from eventcore.errors import TooManyCalls


class ConnectionCalls:
    """Counts calls by connection. For the event loop's thread only."""

    def __init__(self, *, calls_max: int) -> None:
        self._calls_max = calls_max
        self._counts: dict[str, int] = {}

    def enter(self, connection: str) -> None:
        """Counts a call until `leave`.

        Raises:
            TooManyCalls: the connection has as many under way as it may; this one is not counted.
        """
        count = self._counts.get(connection, 0)
        if count >= self._calls_max:
            raise TooManyCalls(
                f"the connection has {count} calls under way, as many as it may: wait for "
                "answers, or send commands in batches or in a stream",
                limit=self._calls_max,
            )
        self._counts[connection] = count + 1

    def leave(self, connection: str) -> None:
        """Forgets a call that `enter` has counted."""
        count = self._counts.pop(connection)
        if count > 1:
            self._counts[connection] = count - 1

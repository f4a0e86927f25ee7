"""A rebuild: a generation that catches up beside the one that serves, is compared with it, and
takes its place.

It never runs ahead of what serves before the two were compared: so there is one position at which
both can be. From then on both get every batch, and are at one position again and again; at the next
one it takes over. Where nothing of its version serves, or what serves has stopped, it takes over
when it holds the whole log.
"""

from collections.abc import Callable
from concurrent.futures import Future

import structlog

from eventcore.errors import GenerationBehind
from eventcore.generations import Progress
from projector.comparison import Compared, Comparisons
from projector.follower import Follower
from projector.pace import Gap, Slices

_log = structlog.get_logger()


class Rebuild:
    """Decides what becomes of a generation that is being made."""

    def __init__(
        self,
        follower: Follower,
        *,
        slices: Slices,
        comparisons: Comparisons,
        monotonic: Callable[[], float],
    ) -> None:
        self.follower = follower
        self.slices = slices
        self._comparisons = comparisons
        self._gap = Gap(monotonic)
        self._comparing: Future[Compared] | None = None
        self._compared: Compared | None = None
        self._said_falling_behind = False
        self._said_behind = False

    @property
    def is_beside(self) -> bool:
        """Whether it goes along with what serves, batch by batch."""
        return self._comparing is not None or self._compared is not None

    @property
    def is_comparing(self) -> bool:
        """Whether a comparison is under way."""
        return self._comparing is not None

    @property
    def is_falling_behind(self) -> bool:
        """Whether events come in faster than it replays them."""
        return self._gap.falling_behind

    @property
    def comparison(self) -> Compared | None:
        """What the comparison has shown; None without one."""
        return self._compared

    def limit(self, served: Follower | None) -> int:
        """How many events it may take next: not beyond what serves, until it was compared."""
        if served is None or self._compared is not None:
            return self.slices.events
        return min(self.slices.events, served.position - self.follower.position)

    def rest(self) -> None:
        """Notes that it does not move, and so comes no nearer for no fault of its own."""
        self._gap.restart()

    def look(self, served: Follower | None) -> None:
        """Sees how far it is, and has it compared when it is where what serves is."""
        self._take_result()
        if self.follower.is_failed:
            self.rest()
            return
        target = self._target(served)
        self._gap.observe(target - self.follower.position)
        self._say_falling_behind(target)
        if served is None or self.is_beside:
            return
        if served.is_failed and self.follower.position > served.position:
            # It was beside what serves before a restart, and there is no position for both now.
            text = (
                "not compared with the one before, which has stopped at position "
                f"{served.position}"
            )
            self._compared = Compared(differs=False, text=text)
        elif self.follower.position == served.position:
            self._comparing = self._comparisons.begin(
                self.follower.projection,
                served=served.number,
                made=self.follower.number,
            )

    def can_take_over(self, served: Follower | None) -> bool:
        """Whether it may take the place of what serves, as far as it is now."""
        follower = self.follower
        if follower.is_failed or not follower.checkpoint.store_id:
            return False
        if served is None:
            return follower.is_at_the_end
        if self._compared is None or follower.position < served.position:
            return False
        # What has stopped is no measure of how far there is to go.
        return follower.is_at_the_end if served.is_failed else True

    def waits_for(self, behind: GenerationBehind) -> None:
        """Says, once, that what serves another release holds more."""
        if self._said_behind:
            return
        self._said_behind = True
        _log.info(
            "rebuild_waits_for_what_serves",
            projection=self.follower.projection.name,
            generation=self.follower.number,
            position=behind.position,
            served_position=behind.served_position,
        )

    def progress(self, rate: float) -> Progress:
        """How it gets on."""
        return Progress(
            events_per_second=rate,
            seconds_left=self._gap.seconds_left,
            falling_behind=self._gap.falling_behind,
            comparing=self.is_comparing,
        )

    def _target(self, served: Follower | None) -> int:
        if served is None or served.is_failed:
            return self.follower.checkpoint.head_position
        return served.position

    def _take_result(self) -> None:
        if self._comparing is None or not self._comparing.done():
            return
        done, self._comparing = self._comparing, None
        error = done.exception()
        if error is None:
            self._compared = done.result()
            return
        # What was replayed is the fold of the log, compared or not.
        text = f"could not be compared with the one before: {error}"
        self._compared = Compared(differs=False, text=text)
        _log.warning(
            "comparison_failed",
            projection=self.follower.projection.name,
            generation=self.follower.number,
            error=str(error) or type(error).__name__,
        )

    def _say_falling_behind(self, target: int) -> None:
        if self._gap.falling_behind == self._said_falling_behind:
            return
        self._said_falling_behind = self._gap.falling_behind
        if self._said_falling_behind:
            _log.warning(
                "rebuild_falls_behind",
                projection=self.follower.projection.name,
                generation=self.follower.number,
                position=self.follower.position,
                target_position=target,
                remedy="events come in faster than they are replayed: it takes over when fewer "
                "come, or give it up with `orderes projections cancel`",
            )

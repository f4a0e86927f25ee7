"""Runs the projections while the process lives: woken, polling, and patient with stores."""

import asyncio
from collections.abc import Callable, Mapping
from typing import NoReturn

import structlog

from eventcore.errors import StoreBroken, StoreUnavailable
from eventcore.threads import OwnThread
from eventcore.wake import WakeReceiver
from projector.runner import ProjectionRunner

RETRY_SECONDS_MIN = 0.1
"""First wait for a store that does not answer; each further one is twice as long."""
RETRY_SECONDS_MAX = 1.0
"""Looking for a store that is not there costs next to nothing."""

_log = structlog.get_logger()


class Follow:
    """Drives a runner on its thread."""

    def __init__(
        self,
        *,
        runner: ProjectionRunner,
        thread: OwnThread,
        wakes: WakeReceiver,
        poll_seconds: float,
        on_following: Callable[[str, bool], None],
    ) -> None:
        """Prepares to run.

        Args:
            runner: What to drive.
            thread: Its own, and that of its stores.
            wakes: Tells of new events.
            poll_seconds: How often to look without being told.
            on_following: Called with a projection that begins or ends to follow the log.
        """
        self._runner = runner
        self._thread = thread
        self._wakes = wakes
        self._poll_seconds = poll_seconds
        self._on_following = on_following
        self._told: Mapping[str, bool] = {}
        self._verified = False
        self._was_verified = False
        self._failures = 0

    async def run(self) -> NoReturn:
        """Follows the log; endless.

        Raises:
            StartFailed: the read models were made from another log.
            StoreBroken: a store failed in a way after which only a restart can go on.
        """
        while True:
            try:
                wait_seconds = await self._thread.run(self._step)
            except StoreBroken:
                raise
            except StoreUnavailable as error:
                await self._wait_for_store(error)
                continue
            self._store_answers()
            self._tell()
            if wait_seconds > 0:
                await self._wakes.wait(
                    timeout_seconds=min(wait_seconds, self._poll_seconds)
                )

    def _step(self) -> float:
        # A store that was away may have come back as another one.
        if not self._verified:
            self._runner.verify()
            self._verified = True
        return self._runner.advance()

    async def _wait_for_store(self, error: StoreUnavailable) -> None:
        self._verified = False
        if self._failures == 0 and self._was_verified:
            _log.warning("store_unavailable", error=error.message)
        elif self._failures == 0:
            _log.info("waiting_for_the_write_store", reason=error.message)
        delay = min(RETRY_SECONDS_MIN * 2**self._failures, RETRY_SECONDS_MAX)
        self._failures += 1
        if self._was_verified:
            # Wake-ups would only drive up the attempts: the writer may well go on.
            await asyncio.sleep(delay)
        else:
            await self._wakes.wait(timeout_seconds=delay)

    def _store_answers(self) -> None:
        if self._failures:
            _log.info("store_answers", after_attempts=self._failures)
        self._failures = 0
        self._was_verified = True

    def _tell(self) -> None:
        following = self._runner.following
        for name, is_following in following.items():
            if self._told.get(name) != is_following:
                self._on_following(name, is_following)
        self._told = following

"""How fresh the answer of a query must be, as it is typed."""

import click

from cli.parameters import POSITION_MAX, SECONDS
from cli.servers import duration_of
from cli.shared_options import F, kept, shared_option, with_options
from orderes.v1.consistency_pb2 import Consistency


def freshness_options(function: F) -> F:
    """What a query asks of its answer."""
    return with_options(
        function,
        shared_option(
            "--min-position",
            type=click.IntRange(0, POSITION_MAX),
            metavar="N",
            help="Answer only with everything up to this position, as a receipt shows "
            "it: read your own write.",
        ),
        shared_option(
            "--max-staleness-seconds",
            type=SECONDS,
            help="Answer only with what was complete so long ago at most, from 2 on.",
        ),
        shared_option(
            "--max-wait-seconds",
            type=SECONDS,
            help="How long to wait for --min-position or --max-staleness-seconds.  "
            "[default: 2]",
        ),
        shared_option(
            "--allow-stale",
            is_flag=True,
            help="After the wait, answer with what there is, and say that it is stale.",
        ),
        store_id_option,
    )


def store_id_option(function: F) -> F:
    """The data that positions belong to."""
    return shared_option(
        "--store-id",
        metavar="ID",
        help="Refuse if the data is of another store than this, as --json shows it.",
    )(function)


def consistency_of(ctx: click.Context) -> Consistency | None:
    """What the options ask for; nothing where none of them is given.

    Raises:
        click.UsageError: they do not go together.
    """
    min_position = kept(ctx, "min_position")
    max_staleness = duration_of(kept(ctx, "max_staleness_seconds"))
    max_wait = duration_of(kept(ctx, "max_wait_seconds"))
    allow_stale = kept(ctx, "allow_stale")
    store_id = kept(ctx, "store_id") or ""
    if min_position is not None and max_staleness is not None:
        raise click.UsageError(
            "--min-position and --max-staleness-seconds ask for different things: "
            "give one of them"
        )
    if min_position is None and max_staleness is None:
        if max_wait is not None:
            raise click.UsageError(
                "--max-wait-seconds waits for --min-position or "
                "--max-staleness-seconds: give one of them too"
            )
        if allow_stale:
            raise click.UsageError(
                "--allow-stale lets --min-position or --max-staleness-seconds go: give "
                "one of them too"
            )
        return Consistency(store_id=store_id) if store_id else None
    return Consistency(
        min_position=min_position,
        max_staleness=max_staleness,
        max_wait=max_wait,
        allow_stale=allow_stale,
        store_id=store_id,
    )


def waits(consistency: Consistency | None) -> bool:
    """Whether the server waits for something before it answers."""
    return consistency is not None and (
        consistency.WhichOneof("requirement") is not None
    )

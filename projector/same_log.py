"""Whether the log is the one that a read model was made from."""

from eventcore.checkpoints import Checkpoint
from eventcore.errors import CorruptLog, StartFailed
from eventcore.write_store import WriteSnapshot


def check_same_log(
    projection: str, checkpoint: Checkpoint, snapshot: WriteSnapshot
) -> None:
    """Checks that the log is the one that a checkpoint is of.

    Raises:
        StartFailed: it is another one.
    """
    if not checkpoint.store_id:
        return  # It has seen none.
    head = snapshot.events.head()
    if checkpoint.store_id != head.store_id:
        difference = f"store {checkpoint.store_id}, the write store is {head.store_id}"
    elif checkpoint.position > head.position:
        difference = (
            f"its position {checkpoint.position}, the log ends at {head.position}"
        )
    elif checkpoint.position and not _holds_event(checkpoint, snapshot):
        difference = f"an event at position {checkpoint.position} that the log has not"
    else:
        return
    raise StartFailed(
        f"the read model {projection} was made from another log: it holds {difference}. The "
        "write store was restored or swapped. Put the right one back; or stop the projector and "
        "the read servers, remove read.db, read.db-wal and read.db-shm, and start them again: "
        "the projector makes it anew from the log"
    )


def _holds_event(checkpoint: Checkpoint, snapshot: WriteSnapshot) -> bool:
    try:
        found = snapshot.events.read_log(
            after_position=checkpoint.position - 1, limit=1
        )
    except CorruptLog:
        return False
    return found[0].event_id == checkpoint.event_id

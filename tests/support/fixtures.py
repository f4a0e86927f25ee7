"""What earlier releases have written, kept as files: it must be read for ever."""

from pathlib import Path

FIXTURES = Path(__file__).parent.parent / "fixtures"

GOLDEN_EVENTS = FIXTURES / "events"
"""The payload of one event of every type and version that was ever written, named like
`OrderPlaced.v1.json`. A file in here never changes: a change of an event is a new version."""

GOLDEN_SNAPSHOTS = FIXTURES / "snapshots"
"""The payload of one snapshot of the current version of each aggregate."""

STORE_V1 = FIXTURES / "store_v1"
"""Both databases of the release whose write store had schema version 1, and what it answered."""

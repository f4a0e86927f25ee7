"""A process of a release to come: one in which every read model has a newer version.

`python -m tests.support.next_release projector …` is the projector of that release.
"""

import sys
from importlib import import_module

from contexts.orders.read.registry import ORDER_PROJECTIONS

for projection in ORDER_PROJECTIONS:
    # Frozen, because nothing in a release changes its versions; this makes it another release.
    object.__setattr__(projection, "version", projection.version + 1)

if __name__ == "__main__":
    module = sys.argv.pop(1)
    import_module(f"{module}.__main__").main()

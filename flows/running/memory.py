"""How programs of our own use memory; the process of someone who calls our functions is theirs."""

import gc

OBJECTS_PER_COLLECTION = 100_000


def collect_rarely() -> None:
    """Look for cycles among objects rarely: there are millions of objects, and hardly a cycle.

    With Python's own setting, it takes a quarter of the time in which lines are decoded.
    """
    gc.set_threshold(OBJECTS_PER_COLLECTION)

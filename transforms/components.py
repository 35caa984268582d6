"""Connected components of a graph whose nodes are numbers."""

import numpy as np
from numpy.typing import NDArray


def label_components(
    nodes: int, left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the number of each node's component; edge n joins `left[n]` and `right[n]`."""
    from scipy.sparse import coo_array  # noqa: PLC0415 - half a second that only a build needs
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    graph = coo_array((np.ones(len(left)), (left, right)), shape=(nodes, nodes))
    labels: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels

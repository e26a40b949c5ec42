"""The stratified split that all built-in datasets share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .catalogue import SplitParams


def stratified_split(
    y: NDArray[np.integer], params: SplitParams
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of the training and of the test set, each in random order.

    y: (N,) labels. Of each class, `round(test_share * size)` rows are test rows.
    Raises ValueError where a class would have no training or no test row.
    """
    # RandomState, because its stream is frozen over numpy versions (NEP 19) and a Generator's is not
    order = np.random.RandomState(params.split).permutation(len(y))
    test = np.zeros(len(y), dtype=bool)
    for label in np.unique(y):
        rows = order[y[order] == label]
        take = round(params.test_share * len(rows))
        if not 0 < take < len(rows):
            raise ValueError(
                f"test_share={params.test_share} puts {take} of the {len(rows)} rows of class {label} into "
                f"the test set; choose it so that both sets get one"
            )
        test[rows[:take]] = True
    return order[~test[order]], order[test[order]]

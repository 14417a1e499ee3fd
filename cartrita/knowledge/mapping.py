"""What is alike in somebody's knowledge: edges and clusters out of vectors."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]

EACH = 5
"""Edges that an entry has at most to others before it."""

ROUNDS = 50
"""Of moving the middles of clusters; they stand still long before."""


class Edge(NamedTuple):
    """Two rows and how alike they are, 0 to 1."""

    first: int
    second: int
    strength: float


def edges(rows: Matrix, least: float) -> list[Edge]:
    """Return for each row those before it that are most like it, the strongest first.

    Args:
        rows: Shape (n, d), of any length.
        least: The least cosine likeness.
    """
    if len(rows) == 0:
        return []
    alike = _normal(rows) @ _normal(rows).T
    found = []
    for second in range(1, len(rows)):
        nearest = np.argsort(-alike[second, :second], kind="stable")[:EACH]
        strengths = ((int(first), float(min(1.0, alike[second, first]))) for first in nearest)
        found += [Edge(first, second, value) for first, value in strengths if value >= least]
    return sorted(found, key=lambda edge: -edge.strength)


def clusters(rows: Matrix, most: int) -> list[list[int]]:
    """Return groups of rows that are alike (k-means by cosine), each with its most typical first.

    The same rows always give the same groups: each middle begins at the row that is least like
    those before.
    """
    count = min(most, len(rows))
    if count == 0:
        return []
    points = _normal(rows)
    middles = _begun(points, count)
    labels = np.zeros(len(points), dtype=np.int64)
    for _ in range(ROUNDS):
        labels = np.argmax(points @ middles.T, axis=1)
        moved = np.stack(
            [
                points[labels == one].sum(0) if (labels == one).any() else middles[one]
                for one in range(count)
            ]
        )
        moved = _normal(moved)
        if np.allclose(moved, middles):
            break
        middles = moved
    likeness = points @ middles.T
    groups = [
        sorted(np.flatnonzero(labels == one).tolist(), key=lambda row: -likeness[row, one])
        for one in range(count)
    ]
    return sorted((group for group in groups if group), key=lambda group: (-len(group), group[0]))


def _begun(points: Matrix, count: int) -> Matrix:
    chosen = [0]
    nearest = points @ points[0]
    while len(chosen) < count:
        chosen.append(int(np.argmin(nearest)))
        nearest = np.maximum(nearest, points @ points[chosen[-1]])
    return points[chosen]


def _normal(rows: Matrix) -> Matrix:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    normal: Matrix = (rows / np.maximum(lengths, 1e-9)).astype(np.float32)
    return normal

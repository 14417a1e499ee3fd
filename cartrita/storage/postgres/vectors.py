"""How vectors are written for pgvector."""

import numpy as np
import numpy.typing as npt


def literal(vector: npt.NDArray[np.float32]) -> str:
    """Write a vector, shape (n,), as pgvector reads it."""
    return "[" + ",".join(f"{value:.6g}" for value in vector.tolist()) + "]"

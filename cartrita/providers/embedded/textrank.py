"""Ranks and picks sentences by their vectors."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cartrita.providers.ports import Vectors

Scores = npt.NDArray[np.float64]

DAMPING = 0.85
"""As in PageRank: the share of a rank that comes from similar sentences."""

NOVELTY = 0.4
"""How much likeness to what is already picked counts against a sentence (1 - lambda of MMR)."""

TWIN = 0.95
"""Sentences closer than this say the same; one is enough."""


def rank(vectors: Vectors, prior: Scores, rounds: int = 50) -> Scores:
    """Return TextRank scores in 0..1 (Mihalcea & Tarau 2004), over cosine likeness.

    Args:
        vectors: Shape (n, dimensions), normalised, n >= 1.
        prior: How much each sentence counts by itself, above 0; it biases the random jump.
        rounds: Iterations at most.
    """
    likeness = np.clip(vectors.astype(np.float64) @ vectors.T.astype(np.float64), 0, None)
    np.fill_diagonal(likeness, 0)
    totals = likeness.sum(axis=1, keepdims=True)
    flow = np.divide(likeness, totals, out=np.zeros_like(likeness), where=totals > 0)
    jump = prior / prior.sum()
    scores: Scores = jump
    for _ in range(rounds):
        following = (1 - DAMPING) * jump + DAMPING * (scores @ flow)
        settled = np.abs(following - scores).sum() < 1e-6  # noqa: PLR2004 - of a total near 1
        scores = following
        if settled:
            break
    result: Scores = scores * np.sqrt(prior)
    result /= result.max()
    return result


def pick(
    vectors: Vectors, scores: Scores, costs: Sequence[int], budget: int, most: int
) -> list[int]:
    """Pick rows by maximal marginal relevance (Carbonell & Goldstein 1998), in text order.

    Args:
        vectors: Shape (n, dimensions), normalised.
        scores: What each row is worth, 0..1.
        costs: What each row takes of the budget.
        budget: The sum of costs that must not be exceeded.
        most: Rows to pick at most.
    """
    chosen: list[int] = []
    nearest = np.zeros(len(scores))
    left = set(range(len(scores)))
    while len(chosen) < most:
        left = {row for row in left if costs[row] <= budget and nearest[row] < TWIN}
        if not left:
            break
        best = max(
            sorted(left), key=lambda row: (1 - NOVELTY) * scores[row] - NOVELTY * nearest[row]
        )
        chosen.append(best)
        left.discard(best)
        budget -= costs[best]
        nearest = np.maximum(nearest, vectors @ vectors[best])
    return sorted(chosen)

"""Scores feelings by a word list."""

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from cartrita.providers.embedded.sentences import split
from cartrita.providers.ports import Classification, Label, ModelInfo

INFO = ModelInfo(
    model="local/vader-lexicon",
    provider="embedded",
    generative=False,
    limitations=(
        "A word list with rules for negation and emphasis: misses irony and understatement.",
        "English and emoji only; other languages look neutral.",
        "Scores rescale VADER's compound value; they are not probabilities.",
    ),
)

NEUTRAL = 0.05
"""VADER's own bound (Hutto & Gilbert 2014): compounds closer to zero are neutral."""


class Lexicon:
    """VADER, averaged over the sentences that show any feeling."""

    def __init__(self) -> None:
        self._vader = SentimentIntensityAnalyzer()

    def compound(self, text: str) -> float:
        """Return -1 (negative) to 1 (positive).

        Sentence by sentence, because VADER was made for short texts: over a whole page its
        sum runs into one of the two ends.
        """
        scores = [self._vader.polarity_scores(span.text)["compound"] for span in split(text)]
        felt = [float(score) for score in scores if score]
        return sum(felt) / len(felt) if felt else 0.0

    def classify(self, text: str) -> Classification:
        """Return positive, neutral and negative, best first, summing to 1."""
        return Classification(labels(self.compound(text)), INFO)


def labels(compound: float) -> tuple[Label, ...]:
    """Spread a compound value over three labels so that the first changes at `NEUTRAL`."""
    side, other = ("positive", "negative") if compound >= 0 else ("negative", "positive")
    strength = abs(compound)
    if strength >= NEUTRAL:
        felt = 0.5 + 0.5 * (strength - NEUTRAL) / (1 - NEUTRAL)
    else:
        felt = 0.5 * strength / NEUTRAL
    scored = [Label(side, felt), Label("neutral", 1 - felt), Label(other, 0.0)]
    return tuple(sorted(scored, key=lambda label: -label.score))

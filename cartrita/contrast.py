"""Tells texts apart that a model of meaning thinks alike."""

import json
import re
from itertools import pairwise

_MARKED = re.compile(r"\S*[^\W_a-z]\S*|\S*[^\w\s]\S+")
"""Words with a capital, a digit or a sign in them: names, numbers, addresses."""

_POSSESSIVE = re.compile(r"['\u2019]s$")
_AROUND = ".,;:!?()[]\"'"

_WORDS = (
    # What turns a text into its opposite:
    "no not never none nobody nothing without nor neither cannot unless except only "
    # What it may be the opposite of another by; a small model calls those 0.85 to 0.93 alike.
    "on off up down in out open close opens closes opened closed opening closing good bad better "
    "worse best worst right wrong left fast slow faster slower fastest slowest hot cold warm cool "
    "big small large little bigger smaller biggest smallest largest least most more less fewer "
    "max min maximum minimum first last next previous before after early late earlier later "
    "earliest latest high low higher lower highest lowest long short longer shorter longest "
    "shortest old new older newer oldest newest young start stop starts stops begin end begins "
    "ends enable disable enabled disabled allow forbid allowed forbidden add remove insert delete "
    "create destroy buy sell lend borrow give take send receive push pull import export encode "
    "decode encrypt decrypt upload download input output read write increase decrease rise fall "
    "win lose won lost love hate like dislike accept reject approve deny agree disagree true false "
    "yes same different inside outside above below over under north south east west cheap "
    "expensive cheapest easy hard easiest hardest male female man woman boy girl husband wife "
    "mother father son daughter always sometimes legal illegal safe dangerous healthy unhealthy "
    "possible impossible likely unlikely summer winter morning evening today tomorrow yesterday "
    "light dark day night hire fire lock unlock install uninstall connect disconnect login logout "
    "enter leave arrive depart arrival departure plus minus multiply divide"
)
CONTRASTS = frozenset(_WORDS.split())

DIRECTIONS = frozenset(["from", "to", "into", "than", "by", "versus", "vs"])
"""After these it matters which word comes: miles to kilometres, kilometres to miles."""


def contrast(text: str) -> str:
    """Return what has to be the same in two texts, however alike they are.

    Names, numbers, negations, one side of an opposite, and where something goes. The first
    word's capital is its sentence's.
    """
    words = [_POSSESSIVE.sub("", word.strip(_AROUND)) for word in text.split()]
    words = [word[:1].lower() + word[1:] if at == 0 else word for at, word in enumerate(words)]
    found = {word for word in words if _MARKED.fullmatch(word) or word in CONTRASTS}
    found |= {f"{word} {after}" for word, after in pairwise(words) if word in DIRECTIONS}
    return json.dumps(sorted(found), ensure_ascii=False)

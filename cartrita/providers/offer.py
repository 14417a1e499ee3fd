"""Which models there are here, and which of them suit a request."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cartrita.cost.book import TokenPrice
from cartrita.cost.selection import PRESETS, Option, complexity, rank
from cartrita.cost.traits import Traits

CHAT = "chat"


@dataclass(frozen=True, slots=True)
class Provider:
    """Somebody who serves models.

    Attributes:
        configured: Whether the settings let it be asked.
        setting: What lets it.
    """

    key: str
    configured: bool
    setting: str = ""


@dataclass(frozen=True, slots=True)
class Offered:
    """A model that can be named, though perhaps nobody may be asked for it yet.

    Attributes:
        name: As callers name it.
        kinds: What it does, as Hugging Face calls it; empty where nobody said.
        available: Whether a task may use it now.
        default: Whether it answers where none is named.
        needs: The setting that would make it available.
        price: None where nobody charges for it.
        traits: Where the table knows it.
    """

    name: str
    provider: str
    kinds: tuple[str, ...]
    available: bool
    generative: bool
    default: bool = False
    needs: str = ""
    price: TokenPrice | None = None
    traits: Traits | None = None
    limitations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """All that is on offer.

    Attributes:
        models: Looks at what there is now.
        prices_as_of: When the prices were written down.
    """

    providers: tuple[Provider, ...]
    models: Callable[[], Sequence[Offered]]
    prices_as_of: str


def shortlist(prompt: str, models: Sequence[Offered], most: int) -> list[Offered]:
    """Return the models that suit a request best; those that nobody may ask come last.

    Models of language that the tables know are weighed as `auto` weighs them. Without any that
    may be asked, what is built in comes first.

    Args:
        prompt: What is asked for.
        models: To choose from.
        most: How many are wanted.
    """
    chats = [one for one in models if CHAT in one.kinds]
    local = [one for one in chats if one.traits is None or one.price is None]
    known = {one.name: one for one in chats if one.traits and one.price}
    options = [_option(one) for one in known.values()]
    ranked = [known[one.name] for one in rank(options, PRESETS["balanced"], complexity([prompt]))]
    able = [one for one in ranked if one.available]
    ready = [*able, *(one for one in local if one.available)]
    return [*ready, *(one for one in (*ranked, *local) if not one.available)][:most]


def _option(one: Offered) -> Option:
    assert one.traits
    assert one.price
    price = float(one.price.prompt + one.price.completion)
    traits = one.traits
    return Option(
        one.name, traits.quality, traits.safety, price, traits.seconds, well=one.available
    )

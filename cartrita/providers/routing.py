"""Which models may answer a conversation, and in which order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cartrita.cost.selection import PRESETS, Option, Preset, preset_for, rank
from cartrita.cost.traits import TraitBook
from cartrita.protocol.task import Preferences
from cartrita.providers.ports import AUTO
from cartrita.providers.ports_chat import Demand

UNHINTED = Preferences()


@dataclass(frozen=True, slots=True)
class Rules:
    """What an operator says about the choice of models.

    Attributes:
        default: The model that answers where none is named.
        fallbacks: Those that answer when it cannot, in this order.
        preset: How models are weighed; None goes by each caller's preferences.
        warning: From this pressure on, the next cheaper model answers.
        critical: From this pressure on, the cheapest one below.
    """

    default: str
    fallbacks: tuple[str, ...] = ()
    preset: Preset | None = None
    warning: float = 0.7
    critical: float = 0.9


class Step(NamedTuple):
    """A model to try, by name; the rest is as in `Candidate`."""

    name: str
    why: str = ""
    to_save: bool = False


def plan(
    name: str | None,
    demand: Demand,
    rules: Rules,
    option_of: Callable[[str], Option],
    traits: TraitBook,
) -> list[Step]:
    """Return the models to try in turn; never none, and none twice.

    A model that the caller names is not replaced because it fails. Without a name the
    configured one answers, then the fallbacks. For `auto`, and for callers that say what
    matters to them without naming a model, the best of these goes first. Whoever goes first is
    replaced by a cheaper one while a budget is nearly used up.

    Args:
        name: As the caller gave it.
        demand: What the conversation asks for.
        rules: What the operator says.
        option_of: Tells what is known of a model.
        traits: Tells which models are cheaper.
    """
    order = _order(name, demand, rules, option_of)
    first, rungs = order[0], traits.rungs(order[0])
    steps = [Step(model) for model in order]
    if rungs and demand.pressure >= rules.warning:
        lower = rungs[-1] if demand.pressure >= rules.critical else rungs[0]
        used = f"{lower!r} answers in place of {first!r}: {demand.pressure:.0%} of a budget is used"
        steps = [Step(lower, f"{used}."), *(step for step in steps if step.name != lower)]
    below = rungs[rungs.index(steps[0].name) + 1 :] if steps[0].name in rungs else rungs
    tight = "answers because {!r} does not fit what may still be spent."
    known = {step.name for step in steps}
    saving = [Step(n, f"{n!r} {tight.format(first)}", True) for n in below if n not in known]
    return steps + saving


def _order(
    name: str | None, demand: Demand, rules: Rules, option_of: Callable[[str], Option]
) -> Sequence[str]:
    if name not in (None, AUTO):
        return [name]
    models = list(dict.fromkeys((rules.default, *rules.fallbacks)))
    wishes = demand.preferences
    hinted = (wishes.quality_level, wishes.cost_optimization) != (
        UNHINTED.quality_level,
        UNHINTED.cost_optimization,
    )
    if len(models) == 1 or not (name == AUTO or hinted):
        return models
    scarce = demand.pressure >= rules.warning
    preset = rules.preset if rules.preset and not scarce else preset_for(wishes, scarce=scarce)
    ranked = rank([option_of(model) for model in models], PRESETS[preset], demand.complexity)
    return [option.name for option in ranked]

"""Makes code without a model: from data, from signatures, by rules that are always right."""

import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cartrita.coding.forms import ClassParams, Member
from cartrita.providers.ports import ModelInfo
from cartrita.providers.ports_code import Review, Routine

TEMPLATES = ModelInfo(
    "local/code-templates",
    "embedded",
    generative=False,
    limitations=("Made from names, types and data given; it understands no description.",),
)
RULES = ModelInfo(
    "local/ruff-fixes",
    "embedded",
    generative=False,
    limitations=(
        "Applies fixed rules; it understands no purpose.",
        "Takes built-in names for what they usually are.",
    ),
)

_TYPES = {
    bool: ("bool", "boolean"),
    int: ("int", "number"),
    float: ("float", "number"),
    str: ("str", "string"),
}
_IDENTIFIER = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = {"constructor", "default", "delete", "function", "new", "this", "typeof", "var", "void"}


@dataclass(slots=True)
class Shape:
    """A class of data: its name, and the type of each property in Python and JSDoc."""

    name: str
    properties: dict[str, tuple[str, str]] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


def data_class(params: ClassParams) -> str | None:
    """Return a class that holds data; None where that is not all that is asked for."""
    if params.methods or params.language not in ("python", "javascript"):
        return None
    shapes = _shapes(params)
    if not shapes:
        return None
    write = _dataclass if params.language == "python" else _javascript_class
    head = "from __future__ import annotations\n\nfrom dataclasses import dataclass\n"
    head += "from typing import Any\n" if any(_any_in(shape) for shape in shapes) else ""
    parts = [write(shape) for shape in shapes]
    return "\n\n".join([head, *parts] if params.language == "python" else parts)


def data_class_tests(params: ClassParams) -> str | None:
    """Return tests of that class; only of a sample, whose values are known."""
    shapes = _shapes(params)
    if not shapes or params.sample is None or len(shapes) > 1:
        return None  # of nested samples the values would have to be made, too
    (shape,) = shapes
    if params.language == "python":
        return _python_test(shape)
    return None


def _shapes(params: ClassParams) -> list[Shape]:
    """Return what is asked for, innermost first; empty where a name cannot be one."""
    name = _class_name(params.name or "Record")
    found: list[Shape] = []
    if params.sample is not None:
        _read(name, params.sample, found)
    top = found[-1] if found else Shape(name)
    if not found:
        found.append(top)
    for member in params.properties:
        it = Member(name=member) if isinstance(member, str) else member
        kind = it.type or "Any"
        top.properties.setdefault(it.name, (kind, kind if it.type else "*"))
    names = [name for shape in found for name in shape.properties]
    typed = [pair for shape in found for pair in shape.properties.values()]
    fit = all(_usable(name) for name in names) and all(_is_type(kind) for kind, _ in typed)
    return found if names and fit else []


def _read(name: str, sample: Mapping[str, Any], found: list[Shape]) -> None:
    shape = Shape(name, values=dict(sample))
    for key, value in sample.items():
        shape.properties[key] = _type_of(key, value, found)
    found.append(shape)


def _type_of(key: str, value: Any, found: list[Shape]) -> tuple[str, str]:
    if isinstance(value, dict) and value:
        name = _fresh(_class_name(key), found)
        _read(name, value, found)
        return name, name
    if isinstance(value, list) and value:
        inner = _type_of_items(key.removesuffix("s"), value, found)
        return f"list[{inner[0]}]", f"{inner[1]}[]"
    if isinstance(value, list):
        return "list[Any]", "Array"
    return _TYPES.get(type(value), ("Any", "*"))


def _type_of_items(key: str, items: list[Any], found: list[Shape]) -> tuple[str, str]:
    """Return the type that all items have in common."""
    dicts = [item for item in items if isinstance(item, dict)]
    if not dicts:
        kinds = {_type_of(key, item, found) for item in items}
        return kinds.pop() if len(kinds) == 1 else ("Any", "*")
    alike = len(dicts) == len(items) and all(item.keys() == dicts[0].keys() for item in dicts)
    return _type_of(key, dicts[0], found) if alike else ("Any", "*")


def _fresh(name: str, found: list[Shape]) -> str:
    taken = {shape.name for shape in found}
    return next(it for it in (name, *(f"{name}{n}" for n in range(2, 99))) if it not in taken)


def _class_name(text: str) -> str:
    words = re.findall(r"[A-Za-z0-9]+", text)
    name = "".join(word[:1].upper() + word[1:] for word in words)
    return name if _IDENTIFIER.fullmatch(name) else f"Record{name}"


def _usable(name: str) -> bool:
    """Tell whether a name can be that of a property, in both languages."""
    return (
        bool(_IDENTIFIER.fullmatch(name)) and not keyword.iskeyword(name) and name not in _RESERVED
    )


def _is_type(kind: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z_][\w.\[\], |]*", kind))


def _any_in(shape: Shape) -> bool:
    return any(re.search(r"\bAny\b", kind) for kind, _ in shape.properties.values())


def _dataclass(shape: Shape) -> str:
    fields = "\n".join(f"    {name}: {kind}" for name, (kind, _) in shape.properties.items())
    words = " and ".join(shape.properties)
    return f'@dataclass\nclass {shape.name}:\n    """Holds {words}."""\n\n{fields}\n'


def _javascript_class(shape: Shape) -> str:
    told = "\n".join(f"   * @param {{{kind}}} {n}" for n, (_, kind) in shape.properties.items())
    names = ", ".join(shape.properties)
    sets = "\n".join(f"    this.{name} = {name};" for name in shape.properties)
    return (
        f"export class {shape.name} {{\n  /**\n{told}\n   */\n"
        f"  constructor({names}) {{\n{sets}\n  }}\n}}\n"
    )


def _python_test(shape: Shape) -> str:
    given = ", ".join(f"{name}={value!r}" for name, value in shape.values.items())
    checks = "\n".join(
        f"        self.assertEqual(made.{name}, {value!r})" for name, value in shape.values.items()
    )
    return (
        f"import unittest\n\nfrom solution import {shape.name}\n\n\n"
        f"class {shape.name}Test(unittest.TestCase):\n"
        f"    def test_holds_the_sample(self):\n        made = {shape.name}({given})\n{checks}\n\n"
        f"    def test_equals_another_with_the_same_values(self):\n"
        f"        self.assertEqual({shape.name}({given}), {shape.name}({given}))\n"
    )


def interface_tests(review: Review) -> str | None:
    """Return unittest tests of what Python code promises: its names, signatures and examples."""
    routines = [it for it in review.routines if not it.name.startswith("_") and not it.owner]
    if not routines:
        return None
    cases = "\n".join(_case(routine) for routine in routines)
    return (
        "import inspect\nimport unittest\n\nimport solution\n\n\n"
        f"class InterfaceTest(unittest.TestCase):\n{cases}"
    )


def _case(routine: Routine) -> str:
    names = [parameter.name.lstrip("*") for parameter in routine.parameters]
    lines = [
        f"    def test_{routine.name}_takes_its_parameters(self):",
        f"        signature = inspect.signature(solution.{routine.name})",
        f"        self.assertEqual(sorted(signature.parameters), {sorted(names)!r})",
        "",
    ]
    for number, (shown, value) in enumerate(routine.examples, 1):
        lines += [
            f"    def test_{routine.name}_example_{number}(self):",
            f"        self.assertEqual(eval({shown!r}, vars(solution)), {value})",
            "",
        ]
    return "\n".join(lines)

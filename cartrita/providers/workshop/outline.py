"""Tells what stands in Python code, and adds docstrings; runs in a process of its own.

A child gets this file as text, so it imports the standard library only. The code comes by
standard input; it is parsed and never run.
"""

import ast
import doctest
import json
import re
import sys
from collections.abc import Iterator
from typing import Any

BRANCHES = (
    *(ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp),
    *(ast.comprehension, ast.match_case, ast.Assert),
)
Function = ast.FunctionDef | ast.AsyncFunctionDef
Tree = ast.Module | ast.ClassDef


def main() -> None:
    """Answer in JSON what was asked for, or where the code does not parse."""
    code = sys.stdin.read()
    try:
        tree = ast.parse(code)
    except SyntaxError as error:
        found = {"error": error.msg, "line": error.lineno or 1, "column": error.offset or 1}
        print(json.dumps(found))  # noqa: T201 - its answer
        return
    except (ValueError, RecursionError, MemoryError) as error:
        message = str(error) or type(error).__name__
        print(json.dumps({"error": message, "line": 1, "column": 1}))  # noqa: T201
        return
    if sys.argv[1] == "document":
        print(json.dumps({"code": _documented(code, tree)}))  # noqa: T201
    else:
        print(json.dumps({"routines": list(_routines(tree))}))  # noqa: T201


def _routines(tree: Tree, owner: str = "") -> Iterator[dict[str, Any]]:
    for node in tree.body:
        if isinstance(node, Function):
            text = ast.get_docstring(node)
            yield {
                "name": node.name,
                "line": node.lineno,
                "complexity": _complexity(node),
                "parameters": list(_parameters(node.args)),
                "returns": ast.unparse(node.returns) if node.returns else "",
                "documented": text is not None,
                "owner": owner,
                "examples": _examples(text or ""),
            }
        elif isinstance(node, ast.ClassDef) and not owner:
            yield from _routines(node, node.name)


def _complexity(node: ast.AST) -> int:
    inside = list(ast.walk(node))
    branches = sum(isinstance(item, BRANCHES) for item in inside)
    return 1 + branches + sum(len(it.values) - 1 for it in inside if isinstance(it, ast.BoolOp))


def _parameters(args: ast.arguments) -> Iterator[dict[str, str]]:
    plain = [*args.posonlyargs, *args.args]
    defaults = [*[None] * (len(plain) - len(args.defaults)), *args.defaults]
    for named, default in (
        *zip(plain, defaults, strict=True),
        *zip(args.kwonlyargs, args.kw_defaults, strict=True),
    ):
        yield _described(named, "", default)
    for rest, star in ((args.vararg, "*"), (args.kwarg, "**")):
        if rest is not None:
            yield _described(rest, star, None)


def _described(argument: ast.arg, star: str, default: ast.expr | None) -> dict[str, str]:
    return {
        "name": star + argument.arg,
        "annotation": ast.unparse(argument.annotation) if argument.annotation else "",
        "default": ast.unparse(default) if default is not None else "",
    }


def _examples(text: str) -> list[tuple[str, str]]:
    """Return the docstring's examples that are one expression and its value."""
    found: list[tuple[str, str]] = []
    try:
        shown = doctest.DocTestParser().get_examples(text)
    except ValueError:
        return found
    for example in shown:
        try:
            ast.parse(example.source.strip(), mode="eval")
            ast.literal_eval(example.want.strip())
        except (SyntaxError, ValueError):
            continue
        found.append((example.source.strip(), example.want.strip()))
    return found


def _documented(code: str, tree: ast.Module) -> str:
    """Insert docstrings, from the last to the first, so that line numbers stay right."""
    lines = code.splitlines(keepends=True)
    for node in reversed(list(_undocumented(tree))):
        first = node.body[0]
        start = min([first.lineno, *(it.lineno for it in getattr(first, "decorator_list", []))])
        line = lines[start - 1]
        before = line.encode()[: first.col_offset].decode(errors="replace")
        if not before.strip():  # else all is on one line: there is no place for it
            lines.insert(start - 1, _docstring(node, before))
    return "".join(lines)


def _undocumented(tree: Tree) -> Iterator[Function | ast.ClassDef]:
    for node in tree.body:
        if not isinstance(node, Function | ast.ClassDef):
            continue
        if not node.name.startswith("_") and ast.get_docstring(node) is None:
            yield node
        if isinstance(node, ast.ClassDef):
            yield from _undocumented(node)


def _docstring(node: Function | ast.ClassDef, indent: str) -> str:
    text = _words(node.name)
    if isinstance(node, ast.ClassDef):
        return f'{indent}"""{text}."""\n'
    named = [item for item in _parameters(node.args) if item["name"] not in ("self", "cls")]
    returns = ast.unparse(node.returns) if node.returns else ""
    lines = [f'{indent}"""{text}.']
    if named:
        lines += ["", f"{indent}Args:"]
        lines += [f"{indent}    {_told(item)}" for item in named]
    if returns not in ("", "None"):
        lines += ["", f"{indent}Returns:", f"{indent}    {returns}"]
    closing = f'{indent}"""' if len(lines) > 1 else '"""'
    joined = "\n".join(lines).replace("\\", "\\\\")
    body = joined + ("\n" + closing if len(lines) > 1 else closing)
    return body + "\n"


def _told(item: dict[str, str]) -> str:
    name, kind, default = item["name"], item["annotation"], item["default"]
    said = f"{name} ({kind})" if kind else name
    return f"{said}: Default: {default}." if default else f"{said}:"


def _words(name: str) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").strip()
    return spaced[:1].upper() + spaced[1:].lower() if spaced else name


if __name__ == "__main__":
    main()

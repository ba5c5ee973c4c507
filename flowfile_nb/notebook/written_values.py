"""What an expression in a cell gives, as far as that can be told without running it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from flowfile_nb.core.expression import expression
from flowfile_nb.core.references import reference


class Names(NamedTuple):
    """What a cell assigns to variables, and through how many of them a text is followed: each may be made of others."""

    assigned: Mapping[str, ast.expr] = MappingProxyType({})
    depth: int = 3

    def meant_by(self, node: ast.AST) -> ast.expr | None:
        """Return what the cell assigns to a variable; None for another expression, and where it is not followed."""
        return self.assigned.get(node.id) if self.depth and isinstance(node, ast.Name) else None

    @property
    def deeper(self) -> Names:
        """The same for what stands in an assignment."""
        return self._replace(depth=self.depth - 1)


NO_NAMES = Names()
UNKNOWN = reference("known only when the code runs")
"""What stands for a part of a text that only running the code would tell."""
_FIELD = expression(r"(?<!\{)\{[^{}]*\}")
_PERCENT = expression(r"%(?:\(\w+\))?[-+#0-9.]*[a-zA-Z]")


def text_of(node: ast.expr, names: Names = NO_NAMES) -> str | None:
    """
    Return the text that an expression gives; None where it gives none, or nothing of it is known.

    Args:
        node: The expression.
        names: What the cell assigns to the variables in it.
    """
    if (meant := names.meant_by(node)) is not None:
        return text_of(meant, names.deeper)
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.FormattedValue) else part for part in node.values]
        return "".join(_part(part, names) for part in parts)
    if isinstance(node, ast.BinOp):
        return _of_operator(node, names)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        base = text_of(node.func.value, names)
        values = [*node.args, *(keyword.value for keyword in node.keywords)]
        return _filled(_FIELD, base, values, names) if base is not None and node.func.attr == "format" else base
    return None


def _of_operator(node: ast.BinOp, names: Names) -> str | None:
    left = text_of(node.left, names)
    if isinstance(node.op, ast.Mod) and left is not None:
        return _filled(_PERCENT, left, node.right.elts if isinstance(node.right, ast.Tuple) else [node.right], names)
    right = text_of(node.right, names)
    if not isinstance(node.op, ast.Add) or (left is None and right is None):
        return None
    return "".join(UNKNOWN if side is None else side for side in (left, right))


def value_of(node: ast.expr, names: Names = NO_NAMES) -> Any:
    """Return what an expression gives, as far as that can be told without running it."""
    if isinstance(node, ast.Dict):
        return {text_of(key) or "": value_of(value, names) for key, value in items_of(node)}
    if isinstance(node, (ast.List, ast.Tuple)):
        return [value_of(inner, names) for inner in node.elts]
    if isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float)):
        return node.value
    text = text_of(node, names)
    return UNKNOWN if text is None else text


def leaves_of(key: str, node: ast.expr, names: Names = NO_NAMES) -> Iterator[tuple[str, ast.expr, Any]]:
    """Return the texts and numbers in an expression, each with the key that it stands under."""
    if isinstance(node, ast.Dict):
        for its, value in items_of(node):
            yield from leaves_of(text_of(its) or "", value, names)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        for keyword in node.keywords:
            yield from leaves_of(keyword.arg or "", keyword.value, names)
    elif isinstance(node, (ast.List, ast.Tuple)):
        for inner in node.elts:
            yield from leaves_of(key, inner, names)
    elif (value := value_of(node, names)) != UNKNOWN:
        yield key, node, value


def items_of(node: ast.Dict) -> list[tuple[ast.expr, ast.expr]]:
    """Return the keys and values of a dictionary, without what is put in by `**`."""
    return [(key, value) for key, value in zip(node.keys, node.values, strict=True) if key is not None]


def _part(node: ast.expr, names: Names) -> str:
    text = text_of(node, names)
    return UNKNOWN if text is None else text


def _filled(field: re.Pattern[str], text: str, values: list[ast.expr], names: Names) -> str:
    """Return a text with values in its fields, in the order in which they are written."""
    parts = iter([_part(value, names) for value in values])
    return field.sub(lambda _: next(parts, UNKNOWN), text)

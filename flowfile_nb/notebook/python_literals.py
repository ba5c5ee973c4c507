"""
Passwords in clear in a cell's Python: in a call of `connect`, in what its arguments are made of, in `secrets[name] = value`.

Looked for before the cell runs, since IPython keeps it before. Code that is no call of ours is not looked at.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import flowfile_nb
from flowfile_nb import connecting, session
from flowfile_nb.connections.families import require_described
from flowfile_nb.connections.harmless import without_doubtful_lines
from flowfile_nb.connections.literals import refuse_literals
from flowfile_nb.connections.spec import read_spec
from flowfile_nb.connections.toml_text import toml_text
from flowfile_nb.core.cell_source import REMOVED, may_call_ours
from flowfile_nb.core.expression import expression
from flowfile_nb.errors import FlowfileNbError, LiteralPasswordError, MissingDriverError
from flowfile_nb.notebook.written_values import UNKNOWN, Names, items_of, leaves_of, text_of, value_of

_PACKAGE = "flowfile_nb"
_WHAT = ("connect", "secrets")
# What `connect` takes beside a description.
_NOT_DESCRIBED = {"as_", "save", "test", "trust"}
_RUN_PYTHON = {"capture", "prun", "time", "timeit"}
# Of code that cannot be read: from a URL's password, or a credential's `=` or `:`, to the end of the line.
_DOUBTFUL = expression(
    r"""(?:[a-z][\w+.-]*://[^\s:/@'"]*:
        |(?:pass|pwd|secret|token|key|credential)\w*['"]?\s*[:=]\s*[^\s\w]*
        |\bsecrets\s*(?:\[[^\]\n]*\]\s*=|\.\s*(?:setdefault|update)\s*\()\s*
       )(?P<value>[^\n]+)""",
    re.IGNORECASE | re.VERBOSE,
)


def hide_in_python(cell: str, code: str, transform: Callable[[str], str], namespace: Mapping[str, Any]) -> str:
    """
    Return a cell with a note in place of each text in which a password stands in clear.

    Args:
        cell: As it was typed; one that may call ours.
        code: The same as Python, after IPython's transformations.
        transform: Makes Python of what a magic like `%%time` runs.
        namespace: Tells what a name means here.
    """
    try:
        found = set(_Finder(code, transform, _names_here(namespace)).segments())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        ours = ["flowfile_nb", *(name for name, _ in _names_here(namespace))]
        return _DOUBTFUL.sub(_without_value, cell) if any(name in cell for name in ours) else cell
    # Longest first: one can be a part of another.
    done: list[str] = []
    for segment in sorted(found, key=len, reverse=True):
        if segment not in cell and not any(segment in longer for longer in done):
            return REMOVED
        # A number is a word of its own, and no part of another.
        edge = r"\b" if segment.isalnum() else ""
        cell = re.sub(f"{edge}{re.escape(segment)}{edge}", f'"{REMOVED}"', cell)
        done.append(segment)
    return cell


def _without_value(found: re.Match[str]) -> str:
    return found[0].removesuffix(found["value"]) + REMOVED


def _names_here(namespace: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return how a cell can write our `connect` and `secrets`, each with which of the two it is."""
    ours: set[tuple[str, str]] = set()
    for name, item in list(namespace.items()):
        if item is connecting.connect:
            ours.add((name, "connect"))
        elif item is session.secrets:
            ours.add((name, "secrets"))
        elif isinstance(item, ModuleType) and item.__name__ == _PACKAGE:
            ours |= {(f"{name}.{what}", what) for what in _WHAT} | {(f"{name}.secret", "secrets"), (name, _PACKAGE)}
    return ours


class _Finder:
    """The texts of one piece of code that hold a password."""

    def __init__(self, code: str, transform: Callable[[str], str], ours: set[tuple[str, str]]) -> None:
        self._code = code
        self._transform = transform
        self._nodes = list(ast.walk(ast.parse(code)))
        self._ours = ours | self._imported()
        assigned = [(one.targets, one.value) for one in self._nodes if isinstance(one, ast.Assign)]
        self._names = Names({targets[0].id: value for targets, value in assigned if isinstance(targets[0], ast.Name)})

    def segments(self) -> Iterator[str]:
        """Return the pieces of the code that hold one, as they are written."""
        calls = [node for node in self._nodes if isinstance(node, ast.Call)]
        for call in calls:
            if isinstance(call.func, ast.Attribute) and call.func.attr in {"run_cell_magic", "run_line_magic"}:
                yield from self._inside(*map(text_of, call.args))
        found = [node for call in calls if self._is(call.func, "connect") for node in _refused_in_call(call, self._names)]
        if any(self._is(call.func, "connect") for call in calls):
            # What the arguments are made of may stand elsewhere in the cell.
            found += _refused_elsewhere(self._nodes)
        found += self._stored_values()
        for node in found:
            yield ast.get_source_segment(self._code, node) or self._code

    def _inside(self, magic: str | None = None, *texts: str | None) -> Iterator[str]:
        """Look into the code that `%time` and `%%time` run; other magics have other languages."""
        for text in texts if magic in _RUN_PYTHON else ():
            if text is not None and (may_call_ours(text) or any(name in text for name, _ in self._ours)):
                yield from _Finder(self._transform(text), self._transform, self._ours).segments()

    def _stored_values(self) -> Iterator[ast.expr]:
        """Return what `secrets[…] = …` and the like store."""
        for node in self._nodes:
            if isinstance(node, ast.Assign):
                # An attribute is refused, and is a value all the same.
                places = [one for one in node.targets if isinstance(one, (ast.Subscript, ast.Attribute))]
                if any(self._is(one.value, "secrets") for one in places):
                    yield from _known(node.value)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and self._is(node.func.value, "secrets"):
                named = [one.value for one in node.keywords]
                values = {"setdefault": node.args[1:], "update": [*node.args, *named]}
                # There are none of these, and what is given to them is a value.
                values |= {verb: [*node.args[1:], *named] for verb in ("add", "put", "set", "store")}
                for value in values.get(node.func.attr, []):
                    yield from _known(value)
            elif isinstance(node, ast.Call) and self._is_missing(node.func):
                for value in [*node.args[1:], *(one.value for one in node.keywords if one.arg != "name")]:
                    yield from _known(value)

    def _is_missing(self, function: ast.expr) -> bool:
        """Return whether a call is of what the package does not have: `fnb.set(name, value)`, `fnb.add_secret(…)`."""
        if not isinstance(function, ast.Attribute) or not self._is(function.value, _PACKAGE):
            return False
        return function.attr not in flowfile_nb.__all__

    def _is(self, node: ast.expr, what: str) -> bool:
        return isinstance(node, (ast.Name, ast.Attribute)) and (ast.unparse(node), what) in self._ours

    def _imported(self) -> set[tuple[str, str]]:
        ours: set[tuple[str, str]] = set()
        for node in self._nodes:
            if isinstance(node, ast.Import):
                names = [one.asname or one.name for one in node.names if one.name == _PACKAGE]
                ours |= {(f"{name}.{what}", what) for name in names for what in _WHAT}
                ours |= {(f"{name}.secret", "secrets") for name in names} | {(name, _PACKAGE) for name in names}
            elif isinstance(node, ast.ImportFrom) and node.module in {_PACKAGE, connecting.__name__, session.__name__}:
                ours |= {(one.asname or one.name, one.name) for one in node.names}
                ours |= {(what, what) for what in _WHAT if node.names[0].name == "*"}
        return ours


def _refused_in_call(call: ast.Call, names: Names) -> Iterator[ast.expr]:
    """Return the arguments in which a password stands, or may stand where the description will be refused."""
    described = [(one.arg, one.value) for one in call.keywords if one.arg is not None and one.arg not in _NOT_DESCRIBED]
    for argument in call.args[:1]:
        text = text_of(argument, names)
        if isinstance(argument, ast.Dict):
            described += [(text_of(key) or "", value) for key, value in items_of(argument)]
        elif text is not None and not connecting.is_name(text) and _is_refused(text) and without_doubtful_lines(text) != text:
            yield from _written(argument, names)
    parts = {key: value_of(value, names) for key, value in described}
    refused = bool({"type", "url"} & parts.keys()) and _is_refused(parts)
    for key, value in described:
        for its, node, text in leaves_of(key, value, names):
            if _is_literal(its, text) or (refused and _may_be_one(its, text)):
                yield from _written(node, names)


def _written(node: ast.expr, names: Names) -> Iterator[ast.expr]:
    """Return where a text is written: in the expression itself, and where the cell assigns the variables that are in it."""
    inner = [meant for one in ast.walk(node) if (meant := names.meant_by(one)) is not None]
    if not inner or _has_literal(text_of(node) or ""):
        yield node
    for meant in inner:
        yield from _written(meant, names.deeper)


def _refused_elsewhere(nodes: list[ast.AST]) -> Iterator[ast.expr]:
    """Return what an argument may be made of, and would be refused in one: a URL, a dictionary's values, `d["pw"] = …`."""
    for node in nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Subscript) and _is_literal(text_of(target.slice) or "", value_of(node.value)):
                    yield node.value
        elif isinstance(node, ast.Dict) or (isinstance(node, ast.Call) and text_of(node) is None):
            yield from (leaf for key, leaf, value in leaves_of("", node) if _is_literal(key, value))
        elif isinstance(node, ast.expr) and (text := text_of(node)) is not None and _has_literal(text):
            yield node


def _known(node: ast.expr) -> Iterator[ast.expr]:
    """Return the texts, numbers and bytes that are written in an expression: what is refused is a value all the same."""
    yield from (leaf for _, leaf, value in leaves_of("", node) if isinstance(value, (str, int, float)))
    yield from (one for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, bytes))


def _is_refused(description: str | dict[str, Any]) -> bool:
    if isinstance(description, str) and _has_literal(description):
        return True
    try:
        require_described(read_spec(description))
    except LiteralPasswordError:
        return True
    except MissingDriverError:
        return False
    except FlowfileNbError:
        # What is not known here may be what makes it right.
        return UNKNOWN not in str(description)
    return False


def _has_literal(text: str) -> bool:
    """Return whether a description that is a text has a password in clear, or the beginning or end of one."""
    for variant in {text, text.replace(UNKNOWN, "")}:
        try:
            read_spec(variant)
        except LiteralPasswordError:
            return True
        except FlowfileNbError:
            continue
    return False


def _is_literal(key: str, value: Any) -> bool:
    for variant in (value, value.replace(UNKNOWN, "") if isinstance(value, str) else value):
        try:
            refuse_literals({key: variant})
        except LiteralPasswordError:
            return True
        except FlowfileNbError:
            continue
    return False


def _may_be_one(key: str, value: Any) -> bool:
    line = toml_text({key: value}).rstrip("\n")
    return without_doubtful_lines(line) != line

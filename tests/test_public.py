"""What the package promises to everybody: its names, its examples, its version."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import flowfile_nb as fnb
from flowfile_nb import errors
from flowfile_nb.errors import FlowfileNbError

PACKAGE = Path(fnb.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__") for path in PACKAGE.rglob("*.py")
)


def test_exported_names_are_all() -> None:
    """`dir`, `__all__` and what can be imported agree; an unknown name is an AttributeError."""
    assert set(fnb.__all__) <= set(dir(fnb))
    assert all(getattr(fnb, name) is not None for name in fnb.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fnb.nothing  # noqa: B018


def test_importing_the_package_imports_nothing_else() -> None:
    """`import flowfile_nb` alone loads no other module of ours."""
    import subprocess
    import sys

    script = "import sys, flowfile_nb; print([name for name in sys.modules if 'flowfile' in name or 'crypto' in name])"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=PACKAGE.parent).stdout

    assert out.strip() == "['flowfile_nb']"


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name: str) -> None:
    """Every `>>>` in the package gives what stands below it."""
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_everything_public_has_a_docstring(name: str) -> None:
    """Each module, class and function without a leading underscore says what it promises."""
    module = importlib.import_module(name)
    public = [
        item
        for key, item in vars(module).items()
        if not key.startswith("_") and (inspect.isclass(item) or inspect.isfunction(item)) and item.__module__ == name
    ]

    assert module.__doc__
    assert [item.__qualname__ for item in public if not item.__doc__] == []


def test_every_error_has_two_lines_and_a_place_in_the_tree() -> None:
    """Message and hint; the drawing on top of errors.py names each class."""
    kinds = [item for item in vars(errors).values() if inspect.isclass(item) and issubclass(item, FlowfileNbError)]

    for kind in kinds:
        error = kind("what happened", hint="what to do")
        assert str(error) == "what happened\nhint: what to do"
        assert error._render_traceback_() == [f"{kind.__name__}: what happened\nhint: what to do"]
        assert kind.__name__ in (errors.__doc__ or "")
    assert str(FlowfileNbError("alone")) == "alone"


def test_the_mapping_behaves_as_one() -> None:
    """`secrets` is a MutableMapping from name to Secret; emptying it at once is refused."""
    fnb.secrets["a"] = "1"
    fnb.secrets["b"] = fnb.secrets["a"]

    assert (list(fnb.secrets), len(fnb.secrets), "a" in fnb.secrets, "c" in fnb.secrets) == (["a", "b"], 2, True, False)
    assert fnb.secrets.get("c") is None
    assert fnb.secrets["b"].get_secret_value() == "1"
    assert repr(fnb.secrets) == "<Secrets: 2 names>"
    assert fnb.secrets.setdefault("b", "2") == fnb.secrets["b"]
    del fnb.secrets["a"]
    assert isinstance(fnb.secrets.setdefault("a", "1"), fnb.Secret), "not the text that was given"
    del fnb.secrets["a"]
    assert repr(fnb.secrets) == "<Secrets: 1 name>"
    fnb.secrets["a"] = "1"
    assert fnb.secrets._ipython_key_completions_() == ["b", "a"]
    with pytest.raises(KeyError):
        fnb.secrets["c"]
    with pytest.raises(KeyError):
        del fnb.secrets["c"]
    with pytest.raises(FlowfileNbError, match="text, not int"):
        fnb.secrets[5]  # type: ignore[index]
    with pytest.raises(FlowfileNbError, match="not deleted at once"):
        fnb.secrets.clear()
    with pytest.raises(FlowfileNbError, match="text, not bytes"):
        fnb.secrets["a"] = b"bytes"  # type: ignore[assignment]
    assert list(fnb.secrets) == ["b", "a"]

"""Each part of a notebook, each form of a value: found, and said where."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_markdown_cell, new_output

from flowfile_nb.scan.finding import Place
from flowfile_nb.scan.notebook_file import NotANotebookError, search_notebook
from tests.scan.made import FORMS, VALUE, Scanned, code, display, notebook, picture, redactor, result, stream, write

Scan = Callable[..., Scanned]


def widget_state(value: str) -> Any:
    state = {"model_module": "w", "model_name": "PasswordModel", "state": {"description": "Password", "value": value}}
    return {"application/vnd.jupyter.widget-state+json": {"version_major": 2, "version_minor": 0, "state": {"abc": state}}}


PARTS: dict[str, tuple[Callable[[str], Any], str]] = {
    "source": (lambda text: notebook(code(f"a = 1\nb = {text!a}\nc = '''{text}'''")), "cell 4, source, line 3"),
    "markdown": (lambda text: notebook(new_markdown_cell(f"# Title\n\nIt is {text}.")), "cell 4, source, line 3"),
    "stdout": (lambda text: notebook(code("f()", stream(f"one\nit is {text}\n"))), "cell 4, output stdout, line 2"),
    "stderr": (lambda text: notebook(code("f()", stream(f"{text}\n", "stderr"))), "cell 4, output stderr, line 1"),
    "result": (lambda text: notebook(code("f()", result(f"got {text}"))), "cell 4, output text/plain, line 1"),
    "html": (
        lambda text: notebook(code("f()", stream("x"), display(text__html=f"<p>\n<b>{text}</b>"))),
        "cell 4, output 2 text/html, line 2",
    ),
    "json": (lambda text: notebook(code("f()", display(application__json={"a": [1, {"b": text}]}))), "output application/json"),
    "error": (
        lambda text: notebook(code("f()", new_output("error", ename="E", evalue=text, traceback=["no", f"E: {text}"]))),
        "cell 4, output traceback, line 2",
    ),
    "output metadata": (
        lambda text: notebook(code("f()", new_output("display_data", {"text/plain": "x"}, metadata={"note": text}))),
        "cell 4, output metadata.note",
    ),
    "cell metadata": (lambda text: notebook(code("f()", tags=["a", text])), "cell 4, metadata metadata.tags"),
    "metadata": (lambda text: notebook(title=text), "metadata title"),
    "metadata's key": (lambda text: notebook(titles={text: 1}), "metadata titles"),
    "widget state": (lambda text: notebook(widgets=widget_state(text)), "state.abc.state.value"),
    "attachment": (
        lambda text: notebook(new_markdown_cell("![x](attachment:x.png)", attachments={"x.png": {"text/plain": text}})),
        "cell 4, attachment x.png text/plain",
    ),
    "picture": (lambda text: notebook(code("f()", display(image__png=picture(text.encode())))), "cell 4, output image/png"),
    "attached picture": (
        lambda text: notebook(new_markdown_cell("x", attachments={"x.png": {"image/png": picture(text.encode())}})),
        "cell 4, attachment x.png image/png",
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("part", PARTS)
def test_each_part_in_each_form(tmp_path: Path, part: str, form: str) -> None:
    """The place is what a person looks for: the cell's number, the part, the line."""
    make, where = PARTS[part]
    path = write(tmp_path / "a.ipynb", make(FORMS[form](VALUE)))

    found = search_notebook(path.read_bytes(), redactor(prod_pw=VALUE))

    assert found
    assert {place.name for place in found} == {"prod_pw"}
    assert where in " | ".join(map(str, found))


@pytest.mark.parametrize("part", PARTS)
def test_a_clean_notebook_is_clean(tmp_path: Path, part: str) -> None:
    """Nothing is found where there is nothing."""
    path = write(tmp_path / "a.ipynb", PARTS[part][0]("canary"))

    assert search_notebook(path.read_bytes(), redactor(prod_pw=VALUE)) == []


def found(made: Any, **values: str) -> list[str]:
    """Return the places in a notebook that is written without Jupyter's own rules."""
    return [f"{place}: {place.name}" for place in search_notebook(json.dumps(made).encode(), redactor(**values))]


def cell(*outputs: Any, **more: Any) -> Any:
    return {"cells": [{"cell_type": "code", "source": "f()", "outputs": list(outputs), **more}], "metadata": {}, "nbformat": 4}


@pytest.mark.parametrize("cut", range(1, len(VALUE)))
def test_a_value_cut_over_list_items(cut: int) -> None:
    """What a notebook writes as a list is one text, wherever it is cut."""
    made = cell({"output_type": "stream", "name": "stdout", "text": ["a\n", f"pw={VALUE[:cut]}", f"{VALUE[cut:]}\n"]})

    assert found(made, prod_pw=VALUE) == ["cell 1, output stdout, line 2: prod_pw"]
    assert found(cell(source=["a\n", VALUE[:cut], VALUE[cut:]]), prod_pw=VALUE) == ["cell 1, source, line 2: prod_pw"]


def test_a_value_cut_over_outputs() -> None:
    """A kernel sends stdout in pieces; nbclient may leave them as outputs of their own, stderr in between."""
    pieces = [("stdout", "pw=" + VALUE[:5]), ("stderr", "warning\n"), ("stdout", VALUE[5:])]
    made = cell(*({"output_type": "stream", "name": name, "text": text} for name, text in pieces))

    assert found(made, prod_pw=VALUE) == ["cell 1, output stdout, line 1: prod_pw"]


def test_a_value_with_colours_in_it() -> None:
    """A traceback, or `grep --color`, may colour a part of it."""
    coloured = f"\x1b[0;31m{VALUE[:4]}\x1b[01;31m\x1b[K{VALUE[4:]}\x1b[m"

    assert found(cell({"output_type": "error", "traceback": ["x", coloured]}), prod_pw=VALUE) == [
        "cell 1, output traceback, line 2: prod_pw"
    ]


def test_unusual_escapes() -> None:
    """JSON may write any character as an escape."""
    written = "".join(f"\\u{ord(char):04X}" for char in VALUE)
    data = json.dumps(cell({"output_type": "stream", "name": "stdout", "text": "HERE"})).replace("HERE", written).encode()

    assert [str(place) for place in search_notebook(data, redactor(prod_pw=VALUE))] == ["cell 1, output stdout, line 1"]


def test_base64_in_lines_of_76() -> None:
    """Old versions wrote pictures so."""
    encoded = picture(b"x" * 50 + VALUE.encode())
    lines = "\n".join(encoded[at : at + 76] for at in range(0, len(encoded), 76)) + "\n"

    assert found(cell({"output_type": "display_data", "data": {"image/png": lines}}), prod_pw=VALUE) == [
        "cell 1, output image/png: prod_pw"
    ]


def test_a_widgets_buffer() -> None:
    """Binary data of a widget is base64, too."""
    buffer = {"encoding": "base64", "path": ["value"], "data": FORMS["base64"](json.dumps(VALUE))}
    made = {"cells": [], "metadata": {"widgets": {"x": {"state": {"abc": {"buffers": [buffer]}}}}}, "nbformat": 4}

    assert found(made, prod_pw=VALUE) == ["widget state widgets.x.state.abc.buffers.data: prod_pw"]


def test_the_words_of_the_format_are_nobodys_content() -> None:
    """A secret that is called like them is not found in every notebook."""
    words = {"a": "stdout", "b": "code", "c": "stream", "d": "execute_result", "e": "text/plain"}
    made = cell({"output_type": "stream", "name": "stdout", "text": "x"}, result("1"), execution_count=1234)

    assert found(made, **words, f="1234") == []
    assert found(cell({"output_type": "stream", "name": "stdout", "text": "to stdout"}), **words) == [
        "cell 1, output stdout, line 1: a"
    ]


def test_numbers_only_as_a_whole() -> None:
    """A PIN is found as a number, but not in the middle of pi; nor by chance in a picture's base64."""
    data = {"application/json": {"pi": 3.14159, "pin": 1415}, "image/png": "iVBORw0K1415AAAA"}
    made = cell({"output_type": "display_data", "data": data})

    assert found(made, pin="1415") == ["cell 1, output application/json.pin: pin"]


def test_the_old_format() -> None:
    """Version 3 has worksheets, `input`, and pictures beside the text."""
    outputs = [
        {"output_type": "stream", "stream": "stdout", "text": VALUE},
        {"output_type": "pyout", "png": picture(VALUE.encode()), "text": ["x"], "prompt_number": 1},
    ]
    cells = [{"cell_type": "code", "input": [f"x = {VALUE!r}"], "outputs": outputs, "language": "python"}]
    made = {"metadata": {"name": "x"}, "nbformat": 3, "worksheets": [{"cells": [{}]}, {"cells": cells, "metadata": {}}]}

    assert found(made, prod_pw=VALUE) == [
        "cell 2, source, line 1: prod_pw",
        "cell 2, output stdout, line 1: prod_pw",
        "cell 2, output 2 png: prod_pw",
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_other_unicode(encoding: str) -> None:
    """A notebook that an editor has saved in its own way."""
    data = json.dumps(cell({"output_type": "stream", "name": "stdout", "text": VALUE}), ensure_ascii=False).encode(encoding)

    assert [str(place) for place in search_notebook(data, redactor(prod_pw=VALUE))] == ["cell 1, output stdout, line 1"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not JSON"),
        (b'{"cells": [', "not JSON"),
        (b"<<<<<<< HEAD\n{}\n", "not JSON"),
        (b"{\xff binary", "not Unicode"),
        (b"[" * 100_000 + b"]" * 100_000, "too deeply"),
        (b'{"cells": [], "metadata": {"a": "%s", "a": "clean"}}' % b"hunter2", "twice"),
    ],
)
def test_damaged_ones_are_for_the_text_search(data: bytes, why: str) -> None:
    """What cannot be understood as a notebook is not called clean."""
    with pytest.raises(NotANotebookError, match=why):
        search_notebook(data, redactor(pw="hunter2"))


@pytest.mark.parametrize(
    "made",
    [
        [],
        "hunter2",
        5,
        {"cells": "hunter2"},
        {"cells": ["hunter2", 5, None]},
        {"cells": [{"source": {"a": ["hunter2", 1]}, "outputs": {"x": "hunter2"}, "attachments": ["hunter2"]}]},
        {"cells": [{"source": ["hunter2", 3], "outputs": ["hunter2", 1, {"output_type": "stream", "text": {"a": "hunter2"}}]}]},
        {"cells": [{"outputs": [{"data": "hunter2"}, {"data": {"image/png": {"a": "hunter2"}}}, {"traceback": "hunter2"}]}]},
        {"cells": [{"attachments": {"a": "hunter2"}, "outputs": [{"traceback": ["hunter2", 3]}]}]},
        {"worksheets": ["hunter2", {"cells": "hunter2"}], "metadata": ["hunter2"]},
    ],
)
def test_other_shapes(made: Any) -> None:
    """JSON of whatever shape is searched in every corner, and breaks nothing."""
    expected = json.dumps(made).count("hunter2")

    assert len(found(made, pw="hunter2")) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(
    inner=JSON,
    key=st.sampled_from(["source", "outputs", "attachments", "metadata", "id", "data", "text"]),
    ascii_only=st.booleans(),
)
def test_no_shape_hides_a_value(inner: Any, key: str, ascii_only: bool) -> None:
    """Wherever a string of any JSON is replaced by a value, it is found."""
    data = json.dumps({"cells": [{key: [inner, {"deep": [inner, "hunter2"]}]}]}, ensure_ascii=ascii_only)

    names = {place.name for place in search_notebook(data.encode("utf-8", "surrogatepass"), redactor(pw="hunter2"))}

    assert names == {"pw"}


def test_the_report_of_the_command(folder: Path, scan: Scan) -> None:
    """One line for each place: file, cell, part, line and name."""
    write(folder / "sub" / "a.ipynb", notebook(code(f"pw = '''{VALUE}'''", stream(f"\n{VALUE}\n"))))

    done = scan()

    assert done.status == 1
    assert done.found == [
        "sub/a.ipynb: cell 4, source, line 1: prod_pw",
        "sub/a.ipynb: cell 4, output stdout, line 2: prod_pw",
    ]
    assert "2 places of 1 secret in 1 of 1 file" in done.out


def test_many_places_are_counted(folder: Path, scan: Scan) -> None:
    """A value in each line of a log does not fill the screen."""
    write(folder / "a.ipynb", notebook(code("f()", stream(f"{VALUE}\n" * 1000))))

    done = scan()

    assert len(done.found) == 21
    assert done.found[-1] == "a.ipynb: and 980 more: prod_pw"
    assert "1,000 places" in done.out


def test_a_place_says_where_even_without_a_line() -> None:
    """Each kind of place has words."""
    assert str(Place("x")) == "binary data"
    assert str(Place("x", "widget state", detail="a.b")) == "widget state a.b"

"""`--fix`: outputs, metadata and widget state are masked, nothing else is touched, and nothing is lost."""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_markdown_cell

from flowfile_nb.scan import fix
from flowfile_nb.scan.fix import CannotFixError, fix_notebook
from flowfile_nb.scan.masking import mask_notebook
from flowfile_nb.scan.notebook_file import search_notebook
from flowfile_nb.scan.reading import Reader
from tests.scan.made import FORMS, OTHER, VALUE, Scanned, code, display, notebook, picture, redactor, result, stream, write
from tests.scan.test_notebook_file import JSON, PARTS, cell

Scan = Callable[..., Scanned]
KEPT = {"source", "markdown", "attachment", "attached picture"}


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("part", PARTS)
def test_each_part_in_each_form(tmp_path: Path, part: str, form: str) -> None:
    """What may be changed is clean afterwards, a valid notebook, and the rest is what it was, to the byte."""
    path = write(tmp_path / "a.ipynb", PARTS[part][0](FORMS[form](VALUE)))
    before = path.read_bytes()
    known = redactor(prod_pw=VALUE)

    fixed = fix_notebook(str(path), known, Reader())

    if part in KEPT:
        assert fixed is None
        assert path.read_bytes() == before
        return
    assert fixed is not None
    assert search_notebook(path.read_bytes(), known) == []
    assert Path(fixed.backup).read_bytes() == before
    after = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(after)
    changed = [
        (old, new)
        for old, new in zip(before.splitlines(), path.read_bytes().splitlines(), strict=part != "picture")
        if old != new
    ]
    assert 1 <= len(changed) <= 2
    assert b"[secret:prod_pw]" in b"".join(new for _, new in changed)


def messy() -> Any:
    """Return a notebook with values in all parts."""
    return notebook(
        code(
            f"pw = {VALUE!r}",
            stream(f"{VALUE}\nä\n{OTHER}"),
            result("x", **{"text/html": f"<b>{VALUE}</b>", "image/png": picture(b"x")}),
        ),
        new_markdown_cell(f"It is {VALUE}", attachments={"a.png": {"image/png": picture(OTHER.encode())}}),
        code("plot()", display(image__png=picture(VALUE.encode()), text__plain="<Figure>"), note=OTHER),
        title=VALUE,
    )


def test_the_command(folder: Path, scan: Scan) -> None:
    """Masked places are said, what is left is said, the backup is said; the second run has nothing to do."""
    path = write(folder / "a.ipynb", messy())
    sources = [cell.source for cell in nbformat.read(path, as_version=4).cells]

    first = scan("--fix", "a.ipynb")

    assert first.status == 1
    assert "a.ipynb: cell 4, output stdout, line 1  (masked): prod_pw" in first.found
    assert "a.ipynb: cell 4, source, line 1: prod_pw" in first.found
    assert "Masked 6 places in a.ipynb. The backup" in first.out
    assert "a.ipynb.fnb-backup still holds the values: delete it" in first.out
    assert [cell.source for cell in nbformat.read(path, as_version=4).cells] == sources
    state = tree(folder)

    second = scan("--fix", "a.ipynb")

    assert tree(folder) == state
    assert second.found == [
        "a.ipynb: cell 4, source, line 1: prod_pw",
        "a.ipynb: cell 5, source, line 1: prod_pw",
        "a.ipynb: cell 5, attachment a.png image/png: other_pw",
    ]


def test_a_clean_notebook_is_not_touched(folder: Path, scan: Scan) -> None:
    """No backup, no new time."""
    write(folder / "a.ipynb", notebook())
    (folder / "b.txt").write_text(VALUE, encoding="utf-8")
    state = tree(folder)

    assert scan("--fix", ".").status == 1
    assert tree(folder) == state


def test_checkpoints_are_fixed_and_backups_are_not(folder: Path, scan: Scan) -> None:
    """The backup is reported until it is deleted, and gets no backup itself."""
    write(folder / ".ipynb_checkpoints" / "a-checkpoint.ipynb", notebook(code("f()", stream(VALUE))))
    scan("--fix")
    state = tree(folder)

    done = scan("--fix")

    assert tree(folder) == state
    assert done.found == [".ipynb_checkpoints/a-checkpoint.ipynb.fnb-backup: cell 4, output stdout, line 1: prod_pw"]
    assert "were made by  --fix  and hold what it has masked: delete them" in done.out
    assert "--fix  masks them" not in done.out


def test_the_backup(folder: Path) -> None:
    """It is 0600 whatever the notebook is, holds the original, and never overwrites another one."""
    known = redactor(prod_pw=VALUE)
    path = write(folder / "a.ipynb", notebook(code("f()", stream(VALUE))))
    path.chmod(0o664)
    original = path.read_bytes()

    first = fix_notebook("a.ipynb", known, Reader())
    path.write_bytes(original)
    second = fix_notebook("a.ipynb", known, Reader())

    assert first is not None
    assert second is not None
    assert (first.backup, second.backup) == (f"{path}.fnb-backup", f"{path}.fnb-backup-2")
    for backup in (first.backup, second.backup):
        assert Path(backup).read_bytes() == original
        assert stat.S_IMODE(os.stat(backup).st_mode) == 0o600
    assert stat.S_IMODE(path.stat().st_mode) == 0o664
    assert sorted(os.listdir(folder)) == ["a.ipynb", "a.ipynb.fnb-backup", "a.ipynb.fnb-backup-2"]


def test_the_backup_is_private_from_its_first_byte(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else can open it while it is being written."""
    modes = []
    real_write, real_like = fix._write, fix._like

    def write_(file: Any, data: bytes) -> None:
        modes.append(stat.S_IMODE(os.fstat(file.fileno()).st_mode))
        real_write(file, data)

    def like(path: str, original: str, mode: int) -> None:
        modes.append(stat.S_IMODE(os.stat(path).st_mode))
        real_like(path, original, mode)

    monkeypatch.setattr(fix, "_write", write_)
    monkeypatch.setattr(fix, "_like", like)
    write(folder / "a.ipynb", notebook(code("f()", stream(VALUE)))).chmod(0o666)

    fix_notebook("a.ipynb", redactor(prod_pw=VALUE), Reader())

    assert modes == [0o600] * 4


def test_a_link_stays_a_link(folder: Path, tmp_path: Path) -> None:
    """The notebook it leads to is masked, and the backup is beside that."""
    real = write(tmp_path / "elsewhere" / "a.ipynb", notebook(code("f()", stream(VALUE))))
    (folder / "link.ipynb").symlink_to(real)

    fixed = fix_notebook("link.ipynb", redactor(prod_pw=VALUE), Reader())

    assert fixed is not None
    assert fixed.backup == f"{real}.fnb-backup"
    assert (folder / "link.ipynb").is_symlink()
    assert "canary" not in real.read_text(encoding="utf-8")


def test_a_notebook_that_changes_meanwhile_is_left_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JupyterLab saves just then: what it has saved stays, no second copy is left, and it is said."""
    path = write(folder / "a.ipynb", notebook(code("f()", stream(VALUE))))
    newer = path.read_bytes().replace(b"import math", b"import cmath")
    real = fix._back_up

    def and_saved(file: str, data: bytes) -> str:
        path.write_bytes(newer)
        return real(file, data)

    monkeypatch.setattr(fix, "_back_up", and_saved)
    with pytest.raises(CannotFixError, match="changed meanwhile"):
        fix_notebook("a.ipynb", redactor(prod_pw=VALUE), Reader())

    assert path.read_bytes() == newer
    assert os.listdir(folder) == ["a.ipynb"]


def test_a_full_disk_leaves_the_notebook_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong: the old file or the new one, no half of one."""
    path = write(folder / "a.ipynb", notebook(code("f()", stream(VALUE))))
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(CannotFixError, match="No space left"):
        fix_notebook("a.ipynb", redactor(prod_pw=VALUE), Reader())

    assert path.read_bytes() == before
    assert os.listdir(folder) == ["a.ipynb"]


def test_what_would_not_be_clean_is_not_written(folder: Path, scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result is scanned before it takes the notebook's place."""
    path = write(folder / "a.ipynb", notebook(code("f()", stream(VALUE))))
    before = path.read_bytes()

    monkeypatch.setattr(fix, "mask_notebook", lambda document, redactor: document)
    with pytest.raises(CannotFixError, match="a value would have been left"):
        fix_notebook("a.ipynb", redactor(prod_pw=VALUE), Reader())
    monkeypatch.setattr(fix, "mask_notebook", lambda document, redactor: json.dumps({"cells": []}))
    with pytest.raises(CannotFixError, match="a source would have been changed"):
        fix_notebook("a.ipynb", redactor(prod_pw=VALUE), Reader())

    assert path.read_bytes() == before


def test_what_cannot_be_fixed_is_said(folder: Path, scan: Scan) -> None:
    """A notebook in UTF-16 is found and reported, and not written."""
    text = json.dumps(cell({"output_type": "stream", "name": "stdout", "text": VALUE}))
    (folder / "a.ipynb").write_bytes(text.encode("utf-16"))

    done = scan("--fix", ".")

    assert done.found == ["a.ipynb: cell 1, output stdout, line 1: prod_pw"]
    assert "a.ipynb: not masked: it is not UTF-8" in done.out
    assert (folder / "a.ipynb").read_bytes() == text.encode("utf-16")


# The text itself


def masked(made: Any, **values: str) -> Any:
    return json.loads(mask_notebook(json.dumps(made), redactor(**values)))


def outputs(*made: Any) -> list[Any]:
    return masked(cell(*made), prod_pw=VALUE)["cells"][0]["outputs"]


def test_no_other_character_changes() -> None:
    """Order, blanks, escapes, numbers, line ends: all as they were."""
    document = (
        '{ "nbformat" : 4,\r\n\t"cells":[{"outputs": [{"output_type":"stream","name":"stdout",'
        '"text": ["\\u00e4\\/x\\n", "hunter2 \u00e9\\n", "hunter2 \\u00e9"]}],"source":"x hunter2"}],'
        ' "metadata":{"x":1.50e+3,"y":NaN,"z":"\\ud83d"}}\r\n\r\n'
    )

    masked = mask_notebook(document, redactor(pw="hunter2"))

    assert masked == document.replace('"hunter2', '"[secret:pw]')


def test_the_mark_at_the_beginning_stays(folder: Path) -> None:
    """Windows editors put it there."""
    text = json.dumps(cell({"output_type": "stream", "name": "stdout", "text": "hunter2"}), ensure_ascii=False)
    (folder / "a.ipynb").write_text(text, encoding="utf-8-sig")

    fix_notebook("a.ipynb", redactor(pw="hunter2"), Reader())

    assert (folder / "a.ipynb").read_bytes() == text.replace("hunter2", "[secret:pw]").encode("utf-8-sig")


def test_cut_values_are_masked_in_the_first_piece() -> None:
    """The list keeps its shape."""
    lines = ["a\n", f"pw={VALUE[:5]}", VALUE[5:9], f"{VALUE[9:]}\n", "z"]

    (made,) = outputs({"output_type": "stream", "name": "stdout", "text": lines})

    assert made["text"] == ["a\n", "pw=[secret:prod_pw]", "", "\n", "z"]


def test_cut_over_outputs() -> None:
    """Of one stream, with the other in between."""
    pieces = [("stdout", "pw=" + VALUE[:5]), ("stderr", "warning\n"), ("stdout", VALUE[5:] + "!")]

    made = outputs(*({"output_type": "stream", "name": name, "text": text} for name, text in pieces))

    assert [output["text"] for output in made] == ["pw=[secret:prod_pw]", "warning\n", "!"]


def test_colours_stay() -> None:
    """What was switched on inside of the value is switched off after it, and so still has to be on."""
    line = f"\x1b[31mpw={VALUE[:4]}\x1b[1m{VALUE[4:8]}\x1b[0m{VALUE[8:]} end\x1b[0m {VALUE}"

    (made,) = outputs({"output_type": "error", "traceback": [line]})

    assert made["traceback"] == ["\x1b[31mpw=[secret:prod_pw]\x1b[1m\x1b[0m end\x1b[0m [secret:prod_pw]"]


def test_pictures_are_taken_out() -> None:
    """The other forms stay; where there is no text, there is one now. Neighbours and commas stay."""
    bad, good = picture(VALUE.encode()), picture(b"x")

    def forms(**data: str) -> Any:
        (made,) = outputs(
            {"output_type": "display_data", "data": {key.replace("__", "/"): value for key, value in data.items()}}
        )
        return made["data"]

    mask = "[secret:prod_pw]"
    assert forms(image__png=bad) == {"text/plain": mask}
    assert forms(image__png=bad, text__plain="x") == {"text/plain": "x"}
    assert forms(text__plain="x", image__png=bad) == {"text/plain": "x"}
    assert forms(image__png=bad, image__jpeg=bad, text__plain="x", image__gif=bad, image__webp=bad) == {"text/plain": "x"}
    assert forms(text__plain="x", image__png=bad, image__jpeg=good, image__gif=bad) == {"text/plain": "x", "image/jpeg": good}
    assert forms(image__png=bad, image__jpeg=bad, text__html="y") == {"text/plain": mask, "text/html": "y"}
    assert forms(image__png=bad, text__plain=VALUE) == {"text/plain": mask}
    assert outputs({"output_type": "pyout", "png": bad, "text": ["x"]}) == [{"output_type": "pyout", "text": ["x"]}]
    assert outputs({"output_type": "pyout", "png": bad}) == [{"output_type": "pyout", "text": mask}]


def test_a_widgets_buffer_keeps_its_length() -> None:
    """The value's bytes are overwritten: the widget still loads."""
    content = b"\0\1" + VALUE.encode() + b"\2"
    buffer = {"encoding": "base64", "path": [], "data": base64.b64encode(content).decode()}
    made = {"cells": [], "metadata": {"widgets": {"x": {"state": {"abc": {"buffers": [buffer]}}}}}}

    (after,) = masked(made, prod_pw=VALUE)["metadata"]["widgets"]["x"]["state"]["abc"]["buffers"]

    assert base64.b64decode(after["data"]) == b"\0\1" + b"*" * len(VALUE.encode()) + b"\2"


def test_keys_that_become_alike_stay_two() -> None:
    """A key is masked; no value is lost by that."""
    made = {"cells": [], "metadata": {"a": {"hunter2": 1, b"hunter2".hex(): 2, "hunter3": 3}, "[secret:pw]": 4}}

    after = masked(made, pw="hunter2")["metadata"]

    assert sorted(after["a"].values()) == [1, 2, 3]
    assert "hunter2" not in json.dumps(after)


def test_a_number_becomes_the_mask() -> None:
    """And stays JSON."""
    made = cell({"output_type": "display_data", "data": {"application/json": {"pin": 14155, "pi": 3.14155}}})

    after = masked(made, pin="14155")["cells"][0]["outputs"][0]["data"]["application/json"]

    assert after == {"pin": "[secret:pin]", "pi": 3.14155}


@given(
    outputs=JSON,
    metadata=JSON,
    source=st.sampled_from(["hunter2", "x = 'hunter2'\n"]),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 1]),
)
def test_any_notebook(outputs: Any, metadata: Any, source: str, ascii_only: bool, indent: int | None) -> None:
    """Of whatever JSON: what may be changed is clean, it is still JSON, masking twice is masking once."""
    stream = {"output_type": "stream", "name": "stdout", "text": "hunter2"}
    made = {
        "cells": [{"outputs": [outputs, {"x": ["hunter2", outputs]}, stream], "source": source}],
        "metadata": {"m": [metadata, "hunter2"]},
    }
    known = redactor(pw="hunter2", other="true", third="0000")

    once = mask_notebook(json.dumps(made, ensure_ascii=ascii_only, indent=indent), known)

    places = search_notebook(once.encode("utf-8", "surrogatepass"), known)
    assert [place.part for place in places if not place.changeable] == ["source"]
    assert not [place for place in places if place.changeable]
    assert json.loads(once)["cells"][0]["source"] == source
    assert mask_notebook(once, known) == once

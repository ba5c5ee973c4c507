"""`connections.toml`: where it is found, what is read from it, and that writing keeps all else."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowfile_nb.connections import project_file
from flowfile_nb.connections.spec import read_toml
from flowfile_nb.connections.toml_text import toml_text
from flowfile_nb.errors import ConnectionSpecError, UsageError

WAREHOUSE = {"url": "postgresql://app:${secret:prod_pw}@db.example.com/sales"}
BY_HAND = """\
# Ours.   Ask Zoë.

[warehouse]   # the big one
type = "postgresql"
host = "db.example.com"
password = %secret prod_pw

[warehouse.query]
sslmode = "require"

# The small one.
[local]
url = 'sqlite:///data.db'
"""

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = TEXT | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.dates() | st.datetimes()
TREES = st.dictionaries(
    TEXT,
    st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6),
    max_size=4,
)


@given(tree=TREES, table=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6))
def test_what_is_written_is_read(tree: dict[str, Any], table: str) -> None:
    """Any names, texts, numbers, dates and tables; nothing in them ends a string, a line or a table."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    text = toml_text(tree, table)

    assert tomllib.loads(text) == {table: tree}
    assert all(line.isprintable() for line in text.split("\n"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with a notebook's folder in it, and files outside of it."""
    project = tmp_path / "project"
    (project / "notebooks" / "deep").mkdir(parents=True)
    (project / "pyproject.toml").touch()
    (tmp_path / "connections.toml").write_text("[outside]\nurl = 'sqlite://'\n", encoding="utf-8")
    return project


def test_it_is_found_above_the_notebook_up_to_the_root(project: Path) -> None:
    """The nearest one; nothing above the project."""
    deep = project / "notebooks" / "deep"
    assert project_file.locate(deep) is None

    (project / "connections.toml").touch()
    assert project_file.locate(deep) == project / "connections.toml"
    assert project_file.locate(project) == project / "connections.toml"

    (project / "notebooks" / "connections.toml").touch()
    assert project_file.locate(deep) == project / "notebooks" / "connections.toml"


def test_without_a_project_only_the_folder_itself_counts(tmp_path: Path) -> None:
    """In `/tmp/x` a file that somebody put into `/tmp` is not looked at."""
    (tmp_path / "connections.toml").touch()
    (tmp_path / "x").mkdir()

    assert project_file.locate(tmp_path / "x") is None
    assert project_file.locate(tmp_path) == tmp_path / "connections.toml"


def test_where_it_is_written(project: Path, tmp_path: Path) -> None:
    """Beside the project's root mark, or where one is already."""
    assert project_file.place_for(project / "notebooks" / "deep") == project / "connections.toml"
    (tmp_path / "alone").mkdir()
    assert project_file.place_for(tmp_path / "alone") == tmp_path / "alone" / "connections.toml"

    (project / "notebooks" / "connections.toml").touch()
    assert project_file.place_for(project / "notebooks" / "deep") == project / "notebooks" / "connections.toml"


def test_tables_are_read_and_references_may_stand_bare(tmp_path: Path) -> None:
    """Both spellings; what is no table is somebody else's."""
    path = tmp_path / "connections.toml"
    path.write_text("version = 1\n" + BY_HAND, encoding="utf-8")

    found = project_file.read(path)

    assert found["warehouse"]["password"] == "${secret:prod_pw}"
    assert found["warehouse"]["query"] == {"sslmode": "require"}
    assert set(found) == {"warehouse", "local"}


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"[broken\nhunter2", ConnectionSpecError, "is not TOML (at line 1"),
        (b"\xff\xfe", UsageError, "not UTF-8"),
        (b"#" * (1024 * 1024 + 1), UsageError, "over 1024 KiB"),
        (None, UsageError, "cannot read"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None, error: type[Exception], words: str) -> None:
    """It says why, and quotes nothing."""
    path = tmp_path / "connections.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(error) as caught:
        project_file.read(path)

    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_new_file_says_what_it_is(tmp_path: Path) -> None:
    """For whoever finds it in the repository."""
    path = tmp_path / "connections.toml"

    project_file.write(path, {"warehouse": WAREHOUSE})

    assert path.read_text(encoding="utf-8") == (
        "# Connections for  %connect NAME  (flowfile-nb). They name secrets; the values are in each one's own store.\n\n"
        '[warehouse]\nurl = "postgresql://app:${secret:prod_pw}@db.example.com/sales"\n'
    )


def test_a_new_table_goes_to_the_end(tmp_path: Path) -> None:
    """What is there stays to the letter: comments, order, spelling."""
    path = tmp_path / "connections.toml"
    path.write_text(BY_HAND, encoding="utf-8")

    project_file.write(path, {"second": WAREHOUSE})

    text = path.read_text(encoding="utf-8")
    assert text.startswith(BY_HAND)
    assert project_file.read(path)["second"] == WAREHOUSE


def test_a_table_is_replaced_in_its_place(tmp_path: Path) -> None:
    """With its own sub-tables; the next one keeps the comment above it."""
    path = tmp_path / "connections.toml"
    path.write_text(BY_HAND, encoding="utf-8")

    project_file.write(path, {"warehouse": WAREHOUSE})

    assert path.read_text(encoding="utf-8") == (
        '# Ours.   Ask Zoë.\n\n[warehouse]\nurl = "postgresql://app:${secret:prod_pw}@db.example.com/sales"\n\n'
        "# The small one.\n[local]\nurl = 'sqlite:///data.db'\n"
    )


def test_the_last_table_is_replaced(tmp_path: Path) -> None:
    """Also without a line break at the end."""
    path = tmp_path / "connections.toml"
    path.write_text(BY_HAND.rstrip("\n"), encoding="utf-8")

    project_file.write(path, {"local": {"type": "sqlite", "query": {"mode": "ro"}}})

    assert project_file.read(path)["local"] == {"type": "sqlite", "query": {"mode": "ro"}}
    assert path.read_text(encoding="utf-8").startswith(BY_HAND[: BY_HAND.index("[local]")])


def test_the_same_again_changes_nothing(tmp_path: Path) -> None:
    """Not even the file's time."""
    path = tmp_path / "connections.toml"
    project_file.write(path, {"warehouse": WAREHOUSE})
    os.utime(path, (1, 1))

    project_file.write(path, {"warehouse": WAREHOUSE})

    assert path.stat().st_mtime == 1


@pytest.mark.parametrize(
    "text",
    [
        'warehouse = { url = "sqlite://" }\n',
        'warehouse.url = "sqlite://"\n',
        '[other]\ntext = """\n[warehouse]\n"""\n[ "warehouse" . x ]\na = 1\n',
    ],
)
def test_what_cannot_be_edited_safely_is_not_touched(tmp_path: Path, text: str) -> None:
    """A form that a line-wise edit would break: the result is read before it is written."""
    path = tmp_path / "connections.toml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(UsageError, match="cannot be edited here"):
        project_file.write(path, {"warehouse": WAREHOUSE})

    assert path.read_text(encoding="utf-8") == text


def test_a_link_stays_a_link_and_keeps_its_mode(tmp_path: Path) -> None:
    """The file behind it is written."""
    (tmp_path / "here").mkdir()
    real, link = tmp_path / "here" / "real.toml", tmp_path / "here" / "connections.toml"
    real.write_text("", encoding="utf-8")
    real.chmod(0o640)
    link.symlink_to(real)

    project_file.write(link, {"warehouse": WAREHOUSE})

    assert link.is_symlink()
    assert project_file.read(real) == {"warehouse": WAREHOUSE}
    assert real.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in link.parent.iterdir()) == ["connections.toml", "real.toml"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """One line, and no file left over."""
    with pytest.raises(UsageError, match="cannot write"):
        project_file.write(tmp_path / "nowhere" / "connections.toml", {"warehouse": WAREHOUSE})


def test_a_reference_with_a_brace_in_its_name() -> None:
    """The other spelling, escaped as TOML needs it."""
    text = toml_text({"password": '%secret "a}b"'})

    assert read_toml(text) == {"password": '%secret "a}b"'}

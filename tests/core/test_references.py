"""References in text: both spellings, where a name ends, and what cannot be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowfile_nb.core.names import in_quotes, quoted
from flowfile_nb.core.references import StandIns, fill, fill_all, names_in, reference, renamed, without_references
from flowfile_nb.errors import ReferenceSyntaxError

NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1).filter(
    lambda name: name.strip() and "%secret" not in name and "${secret:" not in name
)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("postgresql://app:%secret prod_pw@db.example.com/x", ["prod_pw"]),
        ("postgresql://app:%secret prod-pw@db", ["prod-pw"]),
        ("x?a=%secret one&b=%secret two", ["one", "two"]),
        ('%secret "name with spaces":x', ["name with spaces"]),
        (r'%secret "a \"quoted\" \\ name"', ['a "quoted" \\ name']),
        ("%secret\tname.", ["name"]),
        ("${secret:prod_pw}@db.example.com", ["prod_pw"]),
        ("${secret:a b:c/d}", ["a b:c/d"]),
        ("%secret pässwörd/x", ["pässwörd"]),
        ("%secret a %secret a ${secret:a}", ["a"]),
        ("nothing", []),
        ("100% secret", []),
        ("${other:x} %secretly %%", []),
    ],
)
def test_names(text: str, names: list[str]) -> None:
    """Both spellings are found, and a name ends where the text around it goes on."""
    assert names_in(text) == names


@pytest.mark.parametrize(
    "text",
    [
        "%secret",
        "%secret ",
        "%secret @host",
        '%secret "open',
        "${secret:}",
        "${secret: }",
        "${secret:open",
        '%secret ""',
        "x${secret:\n}",
    ],
)
def test_broken_references(text: str) -> None:
    """What begins like a reference and is none is an error, never silently text."""
    with pytest.raises(ReferenceSyntaxError):
        names_in(text)


@pytest.mark.parametrize(
    "text", ["${secret:${secret:x}}", "${secret:%secret x}", '%secret "${secret:x}"', "%secret ${secret:x}"]
)
def test_reference_inside_a_reference(text: str) -> None:
    """Nesting is refused: a value is used as it is."""
    with pytest.raises(ReferenceSyntaxError):
        names_in(text)


@given(name=NAMES)
def test_reference_is_read_back(name: str) -> None:
    """`reference(name)` means exactly that name, whatever it is made of."""
    assert names_in(f"@{reference(name)}@") == [name]


@pytest.mark.parametrize(
    ("text", "new", "then"),
    [
        ("postgresql://a:%secret old@h/x  # old", "new", "postgresql://a:%secret new@h/x  # old"),
        ("p = %secret\told\nq = '${secret:older}'\n", "new", "p = %secret\tnew\nq = '${secret:older}'\n"),
        ('p = "${secret:old}"', 'a "b" c', 'p = "${secret:a "b" c}"'),
        ('p = "%secret old"', "a name", 'p = "%secret "a name""'),
        ("p = %secret old", 'a "b\\', 'p = %secret "a \\"b\\\\"'),
        ('x%secret "old"y', "new", 'x%secret "new"y'),
        ("x${secret:old}y", "a}b", 'x%secret "a}b"y'),
        ("%secret older ${secret:old }", "new", "%secret older ${secret:old }"),
        ("no reference", "new", "no reference"),
    ],
)
def test_a_renamed_reference_keeps_its_spelling(text: str, new: str, then: str) -> None:
    """Only the name is another; a name that needs quotes gets them, and quotes that a letter follows stay."""
    assert renamed(text, "old", new) == then


def test_a_name_that_no_reference_can_say() -> None:
    """It is refused where something refers to the secret, and nowhere else."""
    with pytest.raises(ReferenceSyntaxError, match="no reference can say"):
        renamed("a ${secret:old}", "old", "x %secret y")
    assert renamed("a ${secret:other}", "old", "x %secret y") == "a ${secret:other}"


def _bare_or_not(name: str, spelling: str) -> str:
    return {"bare": f"%secret  {quoted(name)}", "quotes": f"%secret {in_quotes(name)}"}.get(spelling, reference(name))


@given(
    parts=st.lists(
        st.tuples(
            NAMES, st.sampled_from(["bare", "quotes", "braces"]), st.sampled_from(["", " ", "@h/", '"', "'\n#", "é", "."])
        ),
        min_size=1,
        max_size=5,
    ),
    new=NAMES,
    data=st.data(),
)
def test_renaming_changes_what_is_referred_to_and_nothing_else(
    parts: list[tuple[str, str, str]], new: str, data: st.DataObject
) -> None:
    """The names are as before with the new one for the old; put back, they are as before, and so is all between them."""
    # Behind a bare name a letter would be a part of it.
    text = "".join(_bare_or_not(name, how) + ("@" if how == "bare" else "") + behind for name, how, behind in parts)
    names = names_in(text)
    old = data.draw(st.sampled_from(names))

    after = renamed(text, old, new)

    assert names_in(after) == list(dict.fromkeys(new if name == old else name for name in names))
    assert fill(after, lambda name: "\0") == fill(text, lambda name: "\0")
    if new not in names:
        assert names_in(renamed(after, new, old)) == names


@given(
    values=st.dictionaries(NAMES, st.text(), min_size=1, max_size=4),
    around=st.sampled_from(["", "x", "@", "fnbref0x", "fnbref1x"]),
)
def test_stand_ins_and_filling_give_the_values(values: dict[str, str], around: str) -> None:
    """Marked, parsed, restored and filled, each reference becomes its value, once, and all else stays as it was."""
    text = around.join(reference(name) for name in values) + around

    marked = StandIns(text)

    assert "secret" not in marked.text.replace(around, "")
    assert names_in(marked.restore(marked.text)) == list(values)
    assert fill(marked.restore(marked.text), values.__getitem__) == around.join(values.values()) + around


def test_a_value_that_looks_like_a_reference_stays() -> None:
    """Filling is one pass."""
    values = {"a": "${secret:b}", "b": "never"}

    assert fill("%secret a", values.__getitem__) == "${secret:b}"


def test_what_stands_beside_references() -> None:
    """In either spelling they leave nothing behind."""
    assert without_references("<%secret pw> ${secret:a b}!") == "<> !"
    assert without_references("plain") == "plain"


def test_filling_a_tree() -> None:
    """Strings in mappings, lists and tuples are filled; other things stay."""
    tree = {"a": ["${secret:x}", 1, ("%secret x",)], "b": None}

    assert fill_all(tree, lambda name: name.upper()) == {"a": ["X", 1, ("X",)], "b": None}


def test_a_word_that_looks_like_a_stand_in_stays() -> None:
    """What the user wrote is not taken for a stand-in of ours, nor quoted like one."""
    marked = StandIns("fnbref0x = %secret a, fnbref7x")

    assert marked.restore(marked.text) == "fnbref0x = ${secret:a}, fnbref7x"
    assert [marked.text[start:stop] for start, stop in marked.spans()] == ["fnbref1x"]


@pytest.mark.parametrize("text", ["", "postgresql", "100 % ü"])
def test_text_without_a_reference_stays(text: str) -> None:
    """Most parts of a description have none, and no value is asked for."""
    assert fill(text, {}.__getitem__) == text
    assert StandIns(text).text == text
    assert StandIns(text).restore("fnbref0x") == "fnbref0x"

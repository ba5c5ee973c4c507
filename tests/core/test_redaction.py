"""Known values do not get through, whatever encodes them; everything else does."""

from __future__ import annotations

import base64
import itertools
import random
import re
import sys
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowfile_nb.core import redaction
from flowfile_nb.core.encodings import patterns_of
from flowfile_nb.core.index import Index
from flowfile_nb.core.redaction import Redactor
from flowfile_nb.core.search import EngineName
from flowfile_nb.errors import MissingDriverError
from tests.core.redaction_values import ENCODERS, HARD_VALUES, PEM, VALUES, both_engines

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def knowing(engine: EngineName | None = None, **values: str) -> Redactor:
    redactor = Redactor(engine)
    for name, value in values.items():
        assert redactor.learn(name, value)
    return redactor


@both_engines
@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)
def test_hard_values_in_every_encoding(engine: EngineName, encode: Callable[[str], str]) -> None:
    """Nothing of a value is left, and nothing else is gone."""
    for value in HARD_VALUES:
        redactor = knowing(engine, pw=value)

        masked = redactor.mask(f"before {encode(value)} after")

        assert re.fullmatch(r"before .*\[secret:pw].* after", masked, re.DOTALL), masked
        # What stands around it is what stands around a token.
        around = f"before {encode('plain_token')} after".replace("plain_token", "[secret:pw]")
        assert _quotes(masked) == _quotes(around)


def _quotes(text: str) -> str:
    for separator in ("", ":", " "):
        digits = b"plain_token".hex(separator) if separator else b"plain_token".hex()
        text = text.replace(digits, "[secret:pw]").replace(digits.upper(), "[secret:pw]")
    return text.replace('\\"', "'").replace('"', "'").replace("&quot;", "&#x27;")


@given(value=VALUES, encode=st.sampled_from(list(ENCODERS.values())), before=TEXT, after=TEXT)
def test_any_value_in_every_encoding(value: str, encode: Callable[[str], str], before: str, after: str) -> None:
    """No form of any value gets through, in any text."""
    redactor = knowing(v=value)
    text = f"{before}{encode(value)}{after}"

    masked = redactor.mask(text)

    assert masked != text
    assert redactor.mask(masked) == masked
    assert not redactor.hits(masked.encode())


@both_engines
@given(before=st.binary(max_size=4), after=st.binary(max_size=4), value=st.sampled_from(HARD_VALUES))
def test_base64_at_any_place(engine: EngineName, before: bytes, after: bytes, value: str) -> None:
    """What is left of base64 does not hold one whole byte of the value."""
    raw = (value + "!").encode()
    redactor = knowing(engine, v=value + "!")

    masked = redactor.mask_bytes(base64.b64encode(before + raw + after))

    start, end = masked.index(b"[secret:v]"), masked.rindex(b"[secret:v]") + 10
    assert b"[secret:v]" in masked
    assert start * 6 < (len(before) + 1) * 8
    assert (len(masked) - end) * 6 < (len(after) + 1) * 8 + 6 + 12  # the last character's bits, and padding


@both_engines
@given(text=st.text())
def test_other_text_is_the_very_same(engine: EngineName, text: str) -> None:
    """Text without a value is not even copied."""
    redactor = knowing(engine, pw="a value that occurs nowhere")

    assert redactor.mask(text) is text
    data = text.encode("utf-8", "surrogatepass")
    assert redactor.mask_bytes(data) is data
    assert redactor.find(data) == []
    assert not redactor.hits(data)


def test_nothing_is_known() -> None:
    """A redactor that has learned nothing lets all through."""
    assert Redactor().mask("hunter2") == "hunter2"
    assert not Redactor().hits(b"hunter2")


@both_engines
@given(data=st.data())
def test_it_does_what_a_slow_search_does(engine: EngineName, data: st.DataObject) -> None:
    """Every byte of every place of every pattern is covered, and no other byte."""
    values = data.draw(st.lists(st.sampled_from(["abcd", "bcde", "cdcd", "dddd", "abcdabcd"]), min_size=1, unique=True))
    text = data.draw(st.text("abcde", max_size=40))
    redactor = knowing(engine, **{f"n{number}": value for number, value in enumerate(values)})
    covered = {
        at
        for value in values
        for start in range(len(text))
        if text.startswith(value, start)
        for at in range(start, start + len(value))
    }

    hits = redactor.find(text.encode())

    assert {at for hit in hits for at in range(hit.start, hit.end)} == covered
    assert hits == sorted(hits)
    assert all(before.end <= after.start for before, after in itertools.pairwise(hits))


@both_engines
def test_overlapping_values(engine: EngineName) -> None:
    """A longer value wins, and values that overlap become one mask with the longest one's name."""
    redactor = knowing(engine, short="hunter2", long="hunter2-prod", one="abcdef", two="defghij")

    assert redactor.mask("hunter2 hunter2-prod hunter2hunter2") == "[secret:short] [secret:long] [secret:short][secret:short]"
    assert redactor.mask("abcdefghij abcdef") == "[secret:two] [secret:one]"
    found = [(hit.start, hit.end, hit.name) for hit in redactor.find(b"<abcdefghij hunter2>")]
    assert found == [(1, 11, "two"), (12, 19, "short")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x", "secret"),
        ("x", "[secret:x]"),
        ("x", "[secret:"),
        ("x", "[secret]"),
        ("x", "secret:x"),
        ("x", "z[secret"),
        ("x", "]zzz"),
        ("x", "t:x]zzz"),
        ("secret", "secret"),
        ("hunter2", "hunter2"),
        ("a]b", "hunter2"),
        ("ü €", "ü €]"),
    ],
)
@given(
    pieces=st.lists(
        st.sampled_from(["secret", "[secret:", "]", "x", ":", "[secret:x]", "[secret]", "z", "hunter2", "ü €", "VALUE"])
    )
)
def test_masked_text_stays_as_it_is(name: str, value: str, pieces: list[str]) -> None:
    """Masking twice is masking once, even if a value is a part of the masks."""
    redactor = knowing(**{name: value, "other": "hunter3"})

    masked = redactor.mask("".join(pieces).replace("VALUE", value))

    assert redactor.mask(masked) == masked


@both_engines
@pytest.mark.parametrize(
    ("name", "mask"),
    [("hunter2", "[secret]"), ("my-hunter2-db", "[secret]"), ("hunter", "[secret:hunter]"), ("aHVudGVyMg==", "[secret]")],
)
def test_a_name_does_not_give_the_value_away(engine: EngineName, name: str, mask: str) -> None:
    """A name with a known value in it is not shown in the mask."""
    redactor = knowing(engine, **{name: "hunter2"})

    assert redactor.mask("pw=hunter2") == f"pw={mask}"


def test_a_name_with_a_value_that_is_learned_later() -> None:
    """It is not shown either once the value is known."""
    redactor = knowing(**{"my-hunter2": "other value"})
    before = redactor.mask("other value")
    redactor.learn("pw", "hunter2")

    assert (before, redactor.mask("other value")) == ("[secret:my-hunter2]", "[secret]")


@pytest.mark.parametrize("value", ["[secret:pw]zzz", "zzz[secret:pw]", "z[secret:pw]z"])
def test_a_value_with_a_mask_in_it(value: str) -> None:
    """A value that is more than a mask is masked."""
    assert knowing(pw="hunter2", other=value).mask(value) == "[secret:other]"


def test_a_mask_of_another_kernel_is_text() -> None:
    """Only masks of names that are known here are masks."""
    redactor = knowing(pw="secret")

    assert redactor.mask("[secret:pw] [secret] [secret:unknown]") == "[secret:pw] [secret] [[secret:pw]:unknown]"


@both_engines
def test_short_values(engine: EngineName) -> None:
    """Values under 4 characters are refused, and said to be; four are enough."""
    redactor = Redactor(engine)

    assert not redactor.learn("pin", "123")
    assert redactor.learn("pin", "1234")
    assert redactor.mask("123 1234 äöü") == "123 [secret:pin] äöü"


@both_engines
def test_a_replaced_value_stays_masked(engine: EngineName) -> None:
    """Neither the old nor the new value gets out, and learning the same again costs nothing."""
    redactor = knowing(engine, pw="old value")
    assert redactor.mask("old value") == "[secret:pw]"

    redactor.learn("pw", "new value")
    redactor.learn("pw", "old value")

    assert redactor.mask("old value, new value") == "[secret:pw], [secret:pw]"


def test_learning_again_builds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known is not encoded again, whichever name it has."""
    redactor = knowing(pw="hunter2")
    redactor.mask("")
    added: list[int] = []
    monkeypatch.setattr(Index, "add", lambda _self, patterns: added.append(len(patterns)))

    redactor.learn("pw", "hunter2")
    redactor.mask("")
    redactor.learn("the same", "hunter2")
    redactor.mask("")

    assert added == [0]


@both_engines
def test_bytes_that_are_no_text(engine: EngineName) -> None:
    """Bytes around a value stay as they are, valid or not."""
    redactor = knowing(engine, pw="pässwörd")

    assert redactor.mask_bytes(b"\xff\xc3" + "pässwörd".encode() + b"\xa4\0") == b"\xff\xc3[secret:pw]\xa4\0"


@both_engines
def test_lone_surrogates(engine: EngineName) -> None:
    """Text that is no valid Unicode is masked like any other."""
    redactor = knowing(engine, pw="pässwörd")

    assert redactor.mask("\udc80pässwörd\ud83d") == "\udc80[secret:pw]\ud83d"


@given(value=VALUES, text=st.text("äöü€😀\u0301\n "), position=st.integers(0, 30))
def test_no_character_is_cut(value: str, text: str, position: int) -> None:
    """What is left of the text is whole characters."""
    redactor = knowing(pw=value)

    masked = redactor.mask_bytes((text[:position] + value + text[position:]).encode())

    assert "[secret:pw]" in masked.decode()


@both_engines
def test_a_value_of_64_kib(engine: EngineName) -> None:
    """It is masked whole, in any encoding; half of it is another text."""
    value = "".join(random.Random(1).choices("abcdefgh+/ü", k=65_536))
    redactor = knowing(engine, big=value)

    assert redactor.mask(f"<{value}>{value.encode().hex()}<{value[:-1]}>") == f"<[secret:big]>[secret:big]<{value[:-1]}>"


@both_engines
def test_a_line_of_a_key(engine: EngineName) -> None:
    """Each line of a key is masked, the one that only says what it is is not."""
    redactor = knowing(engine, key=PEM)

    assert redactor.mask(PEM) == "[secret:key]"
    assert redactor.mask(PEM.splitlines()[2] + "\n-----BEGIN PRIVATE KEY-----") == "[secret:key]\n-----BEGIN PRIVATE KEY-----"


@both_engines
def test_a_thousand_secrets(engine: EngineName) -> None:
    """They count at once, while their database is still being built, and so does one more."""
    redactor = Redactor(engine)
    for number in range(1_000):
        redactor.learn(f"name-{number}", f"value/{number:06d}")

    masked = redactor.mask("value/000000 value/000999 value/1")
    redactor.learn("another", "hunter2")

    assert masked == "[secret:name-0] [secret:name-999] value/1"
    assert redactor.mask("hunter2 value/000001") == "[secret:another] [secret:name-1]"
    redactor.wait()
    assert redactor.mask("hunter2 value/000001") == "[secret:another] [secret:name-1]"


def test_waiting_for_nothing() -> None:
    """Where nothing is known nothing is built."""
    Redactor().wait()


@both_engines
def test_learning_in_threads(engine: EngineName) -> None:
    """A value that a thread has learned is masked in the next text, whatever other threads do."""
    redactor = Redactor(engine)
    leaked: list[str] = []

    def work(thread: int) -> None:
        for number in range(60):
            value = f"value-{thread}-{number:04d}"
            redactor.learn(f"n{thread}", value)
            if redactor.mask(f"<{value}>") != f"<[secret:n{thread}]>":
                leaked.append(value)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not leaked


@pytest.mark.parametrize("place", ["flowfile_nb.core.redaction.patterns_of", "flowfile_nb.core.index.Index.add"])
def test_interrupted_while_learning(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """An interrupt while the patterns are made loses none: the next text is masked."""
    redactor = knowing(pw="hunter2")
    with monkeypatch.context() as patch:
        patch.setattr(place, _interrupted)
        with pytest.raises(KeyboardInterrupt):
            redactor.mask("hunter2")

    assert redactor.mask("hunter2") == "[secret:pw]"


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_masking_while_learning(monkeypatch: pytest.MonkeyPatch) -> None:
    """A finalizer that writes while its thread is learning is masked, and does not hang."""
    redactor = knowing(pw="hunter2")
    inner: list[str] = []

    def patterns_and_output(value: str) -> list[bytes]:
        if not inner:
            inner.append("")
            redactor.learn("late", "hunter3")
            inner[0] = redactor.mask("hunter2 hunter3")
        return patterns_of(value)

    monkeypatch.setattr(redaction, "patterns_of", patterns_and_output)

    assert redactor.mask("hunter2") == "[secret:pw]"
    assert inner == ["[secret:pw] [secret:late]"]
    assert redactor.mask("hunter3") == "[secret:late]"


def test_without_a_library_nothing_gets_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """If nothing can search, text is refused each time, not let through."""
    redactor = knowing(pw="hunter2")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "hyperscan", None)
        patch.setitem(sys.modules, "ahocorasick_rs", None)
        for _ in range(2):
            with pytest.raises(MissingDriverError):
                redactor.mask("hunter2")

    assert redactor.mask("hunter2") == "[secret:pw]"


def test_the_engine_is_named() -> None:
    """The library in use can be shown."""
    assert Redactor().engine == "hyperscan"
    assert Redactor("ahocorasick_rs").engine == "ahocorasick_rs"


def test_what_is_known_can_be_told() -> None:
    """Names and values, and the patterns in the order of learning; they follow what is learned later."""
    redactor = Redactor()
    assert list(redactor.patterns) == []

    redactor.learn("a", "first-value")
    redactor.learn("b", "second-value")
    before = list(redactor.patterns)
    redactor.learn("c", "third-value")

    assert before[0] == b"first-value"
    assert list(redactor.patterns)[: len(before)] == before
    assert b"third-value" in redactor.patterns
    assert redactor.learned() == {("a", "first-value"), ("b", "second-value"), ("c", "third-value")}


def test_waiting_for_what_is_built_behind_the_scenes() -> None:
    """It returns at once where nothing is known, and afterwards everything is found."""
    redactor = Redactor()
    redactor.wait()
    for number in range(200):
        redactor.learn(f"s{number}", f"value-number-{number:04}")
    assert redactor.hits(b"value-number-0199")

    redactor.wait()

    assert redactor.hits(b"value-number-0199")


def test_most_of_a_value_that_has_just_been_learned() -> None:
    """It counts at once; what is less than most of it, or all, is no beginning."""
    redactor = Redactor()
    redactor.learn("pw", "hunter2")

    begun = redactor.begun(b"it is hunte")

    assert begun is not None
    assert (begun.start, begun.end, begun.name) == (6, 11, "pw")
    assert [redactor.begun(data) for data in (b"hun", b"hunter2", b"hunte!", b"")] == [None] * 4

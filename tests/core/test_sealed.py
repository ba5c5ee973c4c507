"""The sealed file: a passphrase opens it, and what is damaged or foreign says so."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowfile_nb.core import sealed as module
from flowfile_nb.core.sealed import STRONG, Cost, require_sealed, seal, unseal
from flowfile_nb.errors import (
    BackupError,
    DamagedBackupError,
    ForeignBackupError,
    NewerBackupError,
    WrongPassphraseError,
)

CHEAP = Cost(1, 1, 1)
PASSPHRASE = "correct horse battery staple"
VERSION_AT = 19
# Made by the first version: content `frozen`, under PASSPHRASE.
FROZEN = bytes.fromhex(
    "666c6f7766696c655f6e62206261636b75700a017363727970740000040801c8e9eb5deb8eac57ee2270806c2e8f08c8fe02550d4ff776"
    "2785aa7110893cf9d92e4bc43ba11ff0f4ce1801a8cb60c8417be50ae33b62bbd28ff29d695b0e461e2ad4110cd348a773197af5b9efa6"
    "a749b9"
)


def with_checksum(altered: bytes) -> bytes:
    """Return a file with the checksum of what now stands before it, as whoever alters it on purpose would make it."""
    return altered[:-32] + hashlib.sha256(altered[:-32]).digest()


@given(st.binary(max_size=2_000), st.text())
def test_what_was_sealed_comes_back(content: bytes, passphrase: str) -> None:
    """Any content under any passphrase; and no two files are alike."""
    one, other = seal(content, passphrase, CHEAP), seal(content, passphrase, CHEAP)

    assert unseal(one, passphrase) == unseal(other, passphrase) == content
    assert one != other


@given(st.binary(max_size=200), st.text(), st.text())
def test_another_passphrase_does_not_open_it(content: bytes, passphrase: str, other: str) -> None:
    """Only one that is the same text opens it."""
    from unicodedata import normalize

    if normalize("NFC", other) != normalize("NFC", passphrase):
        with pytest.raises(WrongPassphraseError):
            unseal(seal(content, passphrase, CHEAP), other)


def test_spellings_that_look_the_same_are_the_same() -> None:
    """A Mac types é as two characters, Linux as one; half a surrogate pair from the environment is a passphrase, too."""
    assert unseal(seal(b"x", "cafe\u0301 au lait", CHEAP), "caf\u00e9 au lait") == b"x"
    assert unseal(seal(b"x", "\udcff", CHEAP), "\udcff") == b"x"


def test_the_first_version_is_read_for_ever() -> None:
    """A file of version 1, frozen."""
    assert unseal(FROZEN, PASSPHRASE) == b"frozen"


def test_the_usual_cost_is_strong() -> None:
    """128 MiB for each guess; and the file says so, so that it can be raised."""
    assert STRONG == (17, 8, 1)
    assert tuple(seal(b"", PASSPHRASE)[28:31]) == STRONG


def test_each_byte_flipped() -> None:
    """Damage anywhere is told from a wrong passphrase, without trying the passphrase."""
    whole = seal(b"content", PASSPHRASE, CHEAP)

    for place in range(len(whole)):
        for bit in (1, 0x80, 0xFF):
            altered = bytearray(whole)
            altered[place] ^= bit
            expected: type[BackupError] = DamagedBackupError
            if place < VERSION_AT:
                expected = ForeignBackupError
            elif place == VERSION_AT and altered[place]:
                expected = NewerBackupError
            with pytest.raises(BackupError) as caught:
                unseal(bytes(altered), PASSPHRASE)
            assert type(caught.value) is expected, place


def test_each_byte_flipped_on_purpose() -> None:
    """With a checksum made anew each byte is still authenticated: an error, never other content."""
    whole = seal(b"content", PASSPHRASE, CHEAP)
    classes = set()

    for place in range(VERSION_AT, len(whole) - 32):
        for bit in (1, 2, 0x80):
            altered = bytearray(whole)
            altered[place] ^= bit
            with pytest.raises(BackupError) as caught:
                unseal(with_checksum(bytes(altered)), PASSPHRASE)
            classes.add(type(caught.value))

    assert classes == {DamagedBackupError, NewerBackupError, WrongPassphraseError}


def test_each_length_cut_short() -> None:
    """However much is missing, it is damaged; an empty file, too."""
    whole = seal(b"content", PASSPHRASE, CHEAP)

    for length in range(len(whole)):
        with pytest.raises(DamagedBackupError):
            unseal(whole[:length], PASSPHRASE)
    with pytest.raises(DamagedBackupError):
        unseal(whole + b"\n", PASSPHRASE)


@given(st.binary(max_size=300))
def test_other_files_are_refused(content: bytes) -> None:
    """Whatever it is, it is an error of ours."""
    with pytest.raises(BackupError):
        unseal(content, PASSPHRASE)
    with pytest.raises(BackupError):
        unseal(b"flowfile_nb backup\n\x01" + content, PASSPHRASE)


@pytest.mark.parametrize("cost", [(40, 8, 1), (20, 9, 1), (14, 8, 200), (0, 8, 1), (17, 0, 1), (17, 8, 0), (255, 255, 255)])
def test_a_file_cannot_ask_for_a_terabyte(cost: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """What it would cost to open it is looked at before it is paid."""
    monkeypatch.setattr(module, "_derive", lambda *_: pytest.fail("it was paid"))
    altered = bytearray(FROZEN)
    altered[28:31] = bytes(cost)

    with pytest.raises(DamagedBackupError, match="memory or time"):
        unseal(with_checksum(bytes(altered)), PASSPHRASE)


def test_too_little_memory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """How much is needed, instead of a MemoryError."""

    class NoMemory:
        def __init__(self, **_: object) -> None: ...

        def derive(self, _: bytes) -> bytes:
            raise MemoryError

    monkeypatch.setattr(module, "Scrypt", NoMemory)

    with pytest.raises(BackupError, match="128 MiB"):
        seal(b"", PASSPHRASE)


def test_what_can_be_opened_is_known_without_the_passphrase() -> None:
    """Before somebody types it: a whole backup passes, one that was cut short, or something else, does not."""
    require_sealed(FROZEN)
    for content, error in ((FROZEN[:-1], DamagedBackupError), (b"something else", ForeignBackupError)):
        with pytest.raises(error):
            require_sealed(content)

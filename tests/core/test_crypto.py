"""Keys and tokens: frozen vectors of the real Flowfile, and what damaged ones raise."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from flowfile_nb.core.crypto import Keychain, derive_user_key, generate_master_key, token_owner, token_times
from flowfile_nb.errors import DamagedSecretError, MasterKeyError

MASTER = b"kxYbk1WzuYNzXdZ3ckhX1pFNQkFa6bpOwSmFVtco_CQ="
# Written once with MASTER; see tests/vectors for a whole store of the real Flowfile's.
BARE_UNDER_MASTER = "gAAAAABlU_EAt5YCgHAyNnm2uMD3kMNxwrcV5XRxCvDRr7xFKaZxHT-63IMD62wXflZaCyi7j5SoA2NcVI_GfNsv_jizb4Eb4Q=="


def test_user_keys_are_the_frozen_ones() -> None:
    """The key of a user is what Flowfile 0.23.3 derives from the 44-character text."""
    assert derive_user_key(MASTER, 1) == b"7IIH2ZByj1sAB_nOKgtBll9DxBuX9BTf51ePwk3lkOw="
    assert derive_user_key(MASTER, 2) == b"CatWYx4EGSFG-Iw4bV7QYUUQbphAA932enTDd-Va-C4="


def test_bare_token_under_the_master_key_opens() -> None:
    """The oldest rows hold a Fernet token under the master key itself."""
    assert Keychain(MASTER).decrypt_secret(BARE_UNDER_MASTER, 1) == "older still"


@given(value=st.text(st.characters(exclude_categories=["Cs"])), user_id=st.integers(1, 10**9))
def test_decrypt_undoes_encrypt(value: str, user_id: int) -> None:
    """What was encrypted comes back, for any text and user; the token carries the user, not the value."""
    keys = Keychain(MASTER)

    token = keys.encrypt_secret(value, user_id)

    assert keys.decrypt_secret(token, user_id=1) == value
    assert token_owner(token) == user_id
    assert len(value) < 8 or value not in token.rpartition("$")[2]


def test_token_tells_when_it_was_made() -> None:
    """Fernet keeps the time in clear, which gives a secret's age without a column for it."""
    token = Fernet(MASTER).encrypt_at_time(b"x", 1_700_000_000).decode()

    assert token_times([f"$ffsec$1$1${token}", "not a token", token, "", "Ünicode-head"]) == [1_700_000_000, None] * 2 + [None]
    assert token_times([]) == []


@pytest.mark.parametrize(
    "token",
    ["$ffsec$2$1$abc", "$ffsec$1$1", "$ffsec$1$one$abc", "$ffsec$1$1$", "$ffsec$1$1$gAAAA", "", "gAAAAABnonsense", "hunter2"],
)
def test_damaged_tokens_raise(token: str) -> None:
    """An unknown version, a cut or a changed token is an error of its own, never a wrong value."""
    with pytest.raises(DamagedSecretError):
        Keychain(MASTER).decrypt_secret(token, 1)


@pytest.mark.parametrize("position", [9, 11, 30, -2])
def test_any_changed_character_is_noticed(position: int) -> None:
    """A token of which one character was changed does not open: not the owner, not the text."""
    keys = Keychain(MASTER)
    token = keys.encrypt_secret("hunter2", 1)
    changed = list(token)
    changed[position] = "3" if changed[position] != "3" else "4"

    with pytest.raises(DamagedSecretError):
        keys.decrypt_secret("".join(changed), 1)


def test_another_master_key_opens_nothing() -> None:
    """A token opens under the key it was made with, and no other."""
    token = Keychain(MASTER).encrypt_secret("hunter2", 1)

    with pytest.raises(DamagedSecretError):
        Keychain(generate_master_key()).decrypt_secret(token, 1)


@pytest.mark.parametrize("key", [b"", b"short", b"x" * 44, MASTER[:-2]])
def test_what_is_no_fernet_key_is_refused(key: bytes) -> None:
    """A damaged master key is said to be one."""
    with pytest.raises(MasterKeyError):
        Keychain(key)
    with pytest.raises(MasterKeyError):
        derive_user_key(key, 1)


def test_key_id_names_the_key_and_does_not_hold_it() -> None:
    """Two keys have two ids; the id is no part of the key."""
    first, second = Keychain(MASTER), Keychain(generate_master_key())

    assert first.key_id == Keychain(MASTER).key_id == "7ee386d6"
    assert first.key_id != second.key_id
    assert first.key_id not in MASTER.decode()
    assert MASTER.decode() not in repr(first)


def test_what_is_bound_fits_its_facts_owner_and_key_alone() -> None:
    """Another fact, another user or another master key gives another proof; the same ones give the same."""
    chain = Keychain(MASTER)
    proof = chain.bind(b"facts", 2)

    assert proof == chain.bind(b"facts", 2)
    assert len(proof) == 64
    others = [chain.bind(b"fact", 2), chain.bind(b"facts", 3), Keychain(generate_master_key()).bind(b"facts", 2)]
    assert len({proof, *others}) == 4

"""What every backend promises: the port of `flowfile_nb.backend`, as tests that each adapter inherits."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowfile_nb.backend import SecretBackend
from flowfile_nb.errors import (
    InvalidNameError,
    InvalidValueError,
    NoSuchSecretError,
    NothingToUndoError,
    ReferenceSyntaxError,
    SecretExistsError,
)

HARD = "p@ss:w/or d?#%\"'\\ü&=+${x}\n\t🐧"
BODY = "postgresql://app:${secret:prod_pw}@db.example.com:5432/sales"


class BackendContract:
    """The promises; a subclass gives the fixture `backend`, with nothing stored."""

    def test_a_value_comes_back_as_it_was_stored(self, backend: SecretBackend) -> None:
        """Every character of it; and storing under a new name replaced nothing."""
        assert backend.set("prod_pw", HARD, replace=False) is False
        assert backend.reveal("prod_pw") == HARD
        assert backend.peek("prod_pw") == HARD

    # Each adapter is another executor: that is what a contract is.
    @settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors])
    @given(
        name=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(str.strip),
        value=st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1),
    )
    def test_any_name_and_any_value(self, backend: SecretBackend, name: str, value: str) -> None:
        """Whatever may be stored is found under its name and is the same."""
        backend.set(name, value, replace=True)

        assert backend.reveal(name) == value
        assert name in backend.names()

    def test_a_taken_name_is_refused_unless_said(self, backend: SecretBackend) -> None:
        """The first value stays; with `replace` the second counts, and that is said."""
        backend.set("prod_pw", "first-value", replace=False)

        with pytest.raises(SecretExistsError, match="prod_pw"):
            backend.set("prod_pw", "second-value", replace=False)
        assert backend.reveal("prod_pw") == "first-value"
        assert backend.set("prod_pw", "second-value", replace=True) is True
        assert backend.reveal("prod_pw") == "second-value"

    @pytest.mark.parametrize("value", ["", "a\0b", "x" * 600_000, "\ud800"])
    def test_what_is_no_value(self, backend: SecretBackend, value: str) -> None:
        """Nothing is stored of what no driver could be given."""
        with pytest.raises(InvalidValueError):
            backend.set("prod_pw", value, replace=False)

        assert backend.names() == []

    @pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x07", "\ud800"])
    def test_what_is_no_name(self, backend: SecretBackend, name: str) -> None:
        """Nothing is stored, or renamed to, what nobody could type."""
        backend.set("good", "hunter2-value", replace=False)

        with pytest.raises(InvalidNameError):
            backend.set(name, "hunter2-value", replace=False)
        with pytest.raises(InvalidNameError):
            backend.rename("good", name)
        assert backend.names() == ["good"]

    def test_an_unknown_name(self, backend: SecretBackend) -> None:
        """Each way of asking says so, with the nearest name, and never a value."""
        backend.set("prod_pw", "hunter2-value", replace=False)

        for ask in (backend.require, backend.reveal, backend.peek, backend.fingerprint, backend.delete):
            with pytest.raises(NoSuchSecretError, match="no secret named 'prd_pw'") as error:
                ask("prd_pw")
            assert "did you mean 'prod_pw'?" in error.value.hint
            assert "hunter2" not in str(error.value)
        assert backend.updated_at("prd_pw") is None
        assert backend.missing(["prd_pw", "prod_pw", "prd_pw"]) == ["prd_pw"]

    def test_names_are_told_the_oldest_first(self, backend: SecretBackend) -> None:
        """And counted; a table is by name in any case."""
        for name in ("b", "A", "c d"):
            backend.set(name, f"value-of-{name}", replace=False)

        assert (backend.names(), backend.count()) == (["b", "A", "c d"], 3)
        assert backend.describe().names == ["A", "b", "c d"]
        assert backend.describe(2).names == ["A", "b"]
        assert backend.describe(names=["c d", "b"]).names == ["b", "c d"]

    def test_what_is_told_of_an_own_secret(self, backend: SecretBackend) -> None:
        """Who owns it, that nobody shares it, when it was stored; its value is used in this kernel."""
        backend.set("prod_pw", "hunter2-value", replace=False)

        told = backend.describe()

        assert (told.sharers, backend.brokered(["prod_pw", "other"])) == ([""], {})
        assert told.owners[0]
        assert told.updated_at == [backend.updated_at("prod_pw")] != [None]
        assert "hunter2" not in repr(told)

    def test_renaming(self, backend: SecretBackend) -> None:
        """The value goes along; neither a taken nor an unknown name is renamed to or from."""
        backend.set("old", "value-of-old", replace=False)
        backend.set("taken", "value-of-taken", replace=False)

        backend.rename("old", "new")

        assert backend.reveal("new") == "value-of-old"
        with pytest.raises(NoSuchSecretError):
            backend.rename("old", "other")
        with pytest.raises(SecretExistsError):
            backend.rename("new", "taken")
        assert backend.reveal("taken") == "value-of-taken"

    def test_deleting(self, backend: SecretBackend) -> None:
        """It is gone for each way of asking."""
        backend.set("prod_pw", "hunter2-value", replace=False)
        assert backend.names() == ["prod_pw"]

        backend.delete("prod_pw")

        assert (backend.names(), backend.count(), backend.missing(["prod_pw"])) == ([], 0, ["prod_pw"])
        with pytest.raises(NoSuchSecretError):
            backend.reveal("prod_pw")

    def test_what_cells_are_searched_for_changes_with_the_value(self, backend: SecretBackend) -> None:
        """Version and fingerprints tell that another value counts, and tell nothing about it."""
        backend.set("prod_pw", "first-value", replace=False)
        before = backend.version(), backend.fingerprints()["prod_pw"]

        backend.set("prod_pw", "second-value", replace=True)

        now = backend.version(), backend.fingerprints()["prod_pw"]
        assert before[0] != now[0]
        assert before[1] != now[1]
        assert "value" not in repr(now)
        assert backend.peek("prod_pw") == "second-value"

    def test_taking_a_replaced_value_back(self, backend: SecretBackend) -> None:
        """Once, where previous values are kept; else it is said that none is."""
        backend.set("prod_pw", "first-value", replace=False)
        backend.set("prod_pw", "second-value", replace=True)

        if backend.keeps_previous:
            backend.undo("prod_pw")
            assert backend.reveal("prod_pw") == "first-value"
        with pytest.raises(NothingToUndoError):
            backend.undo("prod_pw")
        with pytest.raises(NothingToUndoError):
            backend.replaced_at("prod_pw")
        with pytest.raises(NoSuchSecretError):
            backend.undo("nothing")

    def test_the_environment_overrides(self, backend: SecretBackend, monkeypatch: pytest.MonkeyPatch) -> None:
        """A variable gives the value instead of the store, for headless runs; the table says so."""
        backend.set("prod_pw", "hunter2-value", replace=False)
        monkeypatch.setenv("FLOWFILE_SECRET_PROD_PW", "from-the-environment")
        monkeypatch.setenv("FLOWFILE_SECRET_OTHER", "other-from-there")

        assert backend.reveal("prod_pw") == "from-the-environment"
        assert backend.reveal("other") == "other-from-there"
        assert backend.missing(["prod_pw", "other", "third"]) == ["third"]
        assert backend.describe().owners == ["environment"]
        assert (backend.updated_at("prod_pw"), backend.describe().updated_at) == (None, [None])

    def test_saved_connections(self, backend: SecretBackend) -> None:
        """A definition comes back as it was, says which secret it uses, is replaced under its name, and is forgotten."""
        backend.set("prod_pw", "hunter2-value", replace=False)
        backend.save_connection("warehouse", BODY)
        backend.save_connection("lake", "duckdb:///lake.duckdb")

        assert backend.connection_bodies() == {"warehouse": BODY, "lake": "duckdb:///lake.duckdb"}
        assert (backend.used_by("prod_pw"), backend.used_by("other")) == (["warehouse"], [])
        backend.save_connection("warehouse", BODY.replace("sales", "shop"))
        assert backend.connection_bodies()["warehouse"].endswith("/shop")
        assert (backend.delete_connection("warehouse"), backend.delete_connection("warehouse")) == (True, False)
        assert list(backend.connection_bodies()) == ["lake"]

    def test_a_rename_takes_the_saved_connections_along(self, backend: SecretBackend) -> None:
        """Those that refer to it say the new name, and are told; all else about them, and the others, stay."""
        backend.set("prod_pw", "hunter2-value", replace=False)
        backend.save_connection("warehouse", BODY)
        backend.save_connection("api", 'type = "https"\nhost = "h"\nbearer = "${secret:prod_pw}"  # %secret prod_pw')
        backend.save_connection("lake", "duckdb:///lake.duckdb")
        backend.save_connection("other", BODY.replace("prod_pw", "prod_pw2"))
        before = backend.connection_bodies()

        assert backend.rename("prod_pw", "sales pw") == ["api", "warehouse"]

        assert backend.connection_bodies() == {
            **before,
            "api": 'type = "https"\nhost = "h"\nbearer = "${secret:sales pw}"  # %secret "sales pw"',
            "warehouse": BODY.replace("prod_pw", "sales pw"),
        }
        assert (backend.used_by("prod_pw"), sorted(backend.used_by("sales pw"))) == ([], ["api", "warehouse"])
        assert backend.rename("sales pw", "prod_pw") == ["api", "warehouse"]

    def test_a_name_that_no_reference_can_say(self, backend: SecretBackend) -> None:
        """It is refused where a connection would be lost by it, and nothing is changed."""
        backend.set("prod_pw", "hunter2-value", replace=False)
        backend.save_connection("warehouse", BODY)

        with pytest.raises(ReferenceSyntaxError, match="no reference can say"):
            backend.rename("prod_pw", "x %secret y")

        assert (backend.names(), backend.connection_bodies()) == (["prod_pw"], {"warehouse": BODY})
        backend.delete_connection("warehouse")
        assert backend.rename("prod_pw", "x %secret y") == []

    def test_what_is_known_of_definitions(self, backend: SecretBackend) -> None:
        """What was agreed to, and when it was used, by origin and name; a note without a time leaves the time."""
        backend.note_connection("/project/connections.toml", "warehouse", "digest-1", 1_700_000_000)
        backend.note_connection("/project/connections.toml", "warehouse", "digest-2")

        known = backend.used_connections()

        assert known["/project/connections.toml", "warehouse"] == ("digest-2", 1_700_000_000)

    def test_what_is_not_there(self, backend: SecretBackend) -> None:
        """Nothing of Flowfile's, no team's connection, no missing key."""
        assert (backend.flowfile_connections(), backend.team_connections(), backend.awaits_key()) == ({}, [], False)

    def test_the_doctor_shows_no_value(self, backend: SecretBackend) -> None:
        """Its findings are all well, and hold no value."""
        backend.set("prod_pw", "hunter2-value", replace=False)

        findings = backend.findings()

        assert [finding for finding in findings if not finding.ok] == []
        assert "hunter2" not in repr(findings)

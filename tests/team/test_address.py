"""Where the broker is: what the environment may say, and what is refused before anything is sent."""

from __future__ import annotations

import pytest

from flowfile_nb.errors import UsageError
from flowfile_nb.team.address import address_of

HUB = {"JUPYTERHUB_API_TOKEN": "hub-token", "JUPYTERHUB_API_URL": "http://hub:8081/hub/api"}


def test_a_unix_socket_needs_no_token() -> None:
    """The kernel of the host vouches there: not even the Hub's token is sent, only one that was set for it."""
    address = address_of({"FLOWFILE_NB_TEAM": "unix:/run/fnb/broker.sock", **HUB})
    with_own = address_of({"FLOWFILE_NB_TEAM": "unix:/run/fnb/broker.sock", "FLOWFILE_NB_TEAM_TOKEN": "own"})

    assert (address.socket, address.token, address.shown) == ("/run/fnb/broker.sock", "", "unix:/run/fnb/broker.sock")
    assert (with_own.token, with_own.token_from) == ("own", "FLOWFILE_NB_TEAM_TOKEN")
    assert "own" not in repr(with_own)


def test_an_own_token_comes_before_the_hubs() -> None:
    """By https the Hub's token is taken where no other is set; the prefix of the service is kept."""
    url = {"FLOWFILE_NB_TEAM": "https://hub.example.com/services/flowfile-secrets"}

    assert address_of({**url, **HUB}).token == "hub-token"
    assert address_of({**url, **HUB, "FLOWFILE_NB_TEAM_TOKEN": "own"}).token == "own"
    assert address_of(url).token == ""
    assert address_of(url).url == "https://hub.example.com/services/flowfile-secrets/"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:18090", "http://localhost:1/x", "http://[::1]:80", "http://hub:8000/services/s"]
)
def test_clear_text_goes_no_further_than_it_has_to(url: str) -> None:
    """This machine may be spoken to in clear, and the Hub's host, which gets the same token so already."""
    assert address_of({"FLOWFILE_NB_TEAM": url, **HUB}).url.startswith("http://")


@pytest.mark.parametrize("url", ["http://hub.example.com", "http://10.0.0.7:8000/x", "http://localhost.example.com"])
def test_clear_text_to_another_machine_is_refused(url: str) -> None:
    """Neither token nor values go over a network in clear."""
    with pytest.raises(UsageError, match="without encryption: nothing was sent"):
        address_of({"FLOWFILE_NB_TEAM": url, **HUB})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unix:",
        "unix:relative.sock",
        "ftp://host",
        "host:80",
        "https://",
        "https://me:hunter2@host",
        "https://h?token=hunter2",
        "http://[::1",
        "https://host:port",
        "https://host#x",
    ],
)
def test_what_is_no_address(text: str) -> None:
    """It is refused with the two right forms, and not quoted: somebody may have put a token in it."""
    with pytest.raises(UsageError, match="FLOWFILE_NB_TEAM") as error:
        address_of({"FLOWFILE_NB_TEAM": text})

    assert "hunter2" not in str(error.value)
    assert "unix:/run" in error.value.hint

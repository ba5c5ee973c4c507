"""What a member may ask of an API, and what an owner may describe: pure rules, each case by itself."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from flowfile_nb.broker.addresses import refusal_of
from flowfile_nb.broker.api_rules import MAX_BODY_BYTES, permitted, told
from flowfile_nb.broker.definitions import definition_of, place, require_safe
from flowfile_nb.broker.model import Access, Target
from flowfile_nb.errors import ConnectionSpecError, FlowfileNbError, LimitError, NotAllowedError, UsageError

BODY = 'type = "https"\nurl = "https://api.example.com/v1/"\ntoken = %secret key\n'


def target_of(more: str = "", body: str = BODY) -> Target:
    return definition_of(body + more).target


def ask(more: str = "", access: Access = "write", **fields: Any) -> dict[str, Any]:
    request = {"method": "GET", "path": "/v1/users", "query": "", "headers": [], "body": "", "timeout_s": None, **fields}
    return permitted(target_of(more), access, request)


def test_a_description_fixes_all_that_leads_the_key_somewhere() -> None:
    """Scheme, host, port, path, way, methods and paths are the target; of a description that says less, the narrow ones."""
    target = target_of('headers = { Accept-Version = "2" }\nparams = { tenant = "7" }\npaths = ["users", "/reports/"]')

    assert target == Target(
        *("https", "api.example.com", 443, "/v1", "", "verify-full"),
        {
            "auth": "bearer",
            "methods": "GET HEAD",
            "paths": ["/v1/users", "/v1/reports"],
            "headers": {"Accept-Version": "2"},
            "params": {"tenant": "7"},
        },
    )
    assert target_of().options["paths"] == ["/v1"]
    assert place(target) == "https://api.example.com:443/v1"
    assert target_of('methods = ["post", "GET"]').options["methods"] == "GET POST"


OAUTH = """
type = "https"
url = "https://api.example.com"
token_url = "https://login.example.com/t"
client_id = "me"
client_secret = %secret key
scope = "read"
"""


@pytest.mark.parametrize(
    "body",
    [
        'type = "https"\nurl = "https://api.example.com"\nauth = "header"\nheader = "X-Key"\ntoken = %secret key',
        'type = "https"\nurl = "https://api.example.com"\nauth = "query"\nparameter = "key"\ntoken = %secret key',
        'type = "https"\nurl = "https://api.example.com"\nusername = "me"\npassword = %secret key',
        'type = "https"\nbase_url = "https://[2001:db8::1]:8443/v1"\ntoken = %secret key',
        OAUTH,
    ],
    ids=["header", "query", "basic", "IPv6", "OAuth"],
)
def test_ways_to_authenticate(body: str) -> None:
    """Each way that a kernel has, the broker has."""
    target = definition_of(body).target

    require_safe(target)
    assert definition_of(body).secret == "key"


REFUSED_BODIES = {
    "a user that is a secret": BODY.replace("token =", "username = %secret key\npassword ="),
    "a reference in a header": BODY + 'headers = { X-Other = "Bearer %secret key" }',
    "part of a credential": BODY.replace("%secret key", '"key-%secret key"'),
    "no credential": 'type = "https"\nurl = "https://api.example.com"',
    "a user in the url": BODY.replace("api.example", "me@api.example"),
    "a query in the url": BODY.replace("/v1/", "/v1?x=1"),
    "a port that is none": BODY.replace(".com/", ".com:0/"),
    "a host outside ASCII": BODY.replace("api.", "äpi."),
    "a key that is not known": BODY + 'proxy = "x"',
    "TRACE": BODY + 'methods = ["TRACE"]',
    "CONNECT": BODY + 'methods = "GET CONNECT"',
    "no method": BODY + "methods = [1]",
    "a path that leaves": BODY + 'paths = ["../admin"]',
    "a base that leaves": BODY.replace("/v1/", "/v1/%2e%2e/"),
    "a test path that leaves": BODY + 'test_path = "../me"',
    "a file of the host": BODY + 'verify = "/etc/passwd"',
    "no check of who answers": BODY + "verify = false",
    "the connection's own header": BODY + 'headers = { Host = "evil.example.com" }',
    "the way of a forwarded host": BODY + 'headers = { X-Forwarded-Host = "evil.example.com" }',
    "a line break in a header": BODY + 'headers = { X-A = "a\\r\\nX-B: b" }',
    "a cloud's keys": BODY.replace("api.example.com", "169.254.169.254"),
    "no address": BODY.replace("api.example.com", "0.0.0.0"),
    "a short address": BODY.replace("api.example.com", "127.1"),
    "a number": BODY.replace("api.example.com", "2130706433"),
    "a token server with a user": BODY.replace("token = %secret key", "").rstrip()
    + '\ntoken_url = "https://a:b@login.example.com/"\nclient_id = "me"\nclient_secret = %secret key',
}


@pytest.mark.parametrize("body", REFUSED_BODIES.values(), ids=REFUSED_BODIES)
def test_descriptions_that_are_not_served(body: str) -> None:
    """What leads elsewhere, or cannot be fixed, is refused when it is understood."""
    with pytest.raises((ConnectionSpecError, NotAllowedError)):
        definition_of(body)


def test_nothing_is_shared_in_clear_over_a_network() -> None:
    """Neither the API nor the server of its tokens is asked without TLS, but on this host."""
    oauth = 'client_id = "me"\nclient_secret = %secret key\ntoken_url = '
    for body in (
        BODY.replace("https", "http"),
        f'type = "https"\nurl = "https://api.example.com"\n{oauth}"http://login.example.com/"',
    ):
        with pytest.raises(NotAllowedError, match="in clear"):
            require_safe(definition_of(body).target)
    require_safe(definition_of('type = "http"\nurl = "http://127.0.0.1:8080"\ntoken = %secret key').target)


def test_what_is_asked_is_sent_as_it_is() -> None:
    """Path, query, headers and body go on to the letter."""
    asked = ask('methods = ["POST"]', method="POST", query="a=b%20c&d[]=1", headers=[["Accept", "text/csv"]], body="aGk=")

    assert asked == {
        "method": "POST",
        "path": "/v1/users",
        "query": "a=b%20c&d[]=1",
        "headers": [("Accept", "text/csv")],
        "body": "aGk=",
        "timeout_s": None,
    }
    assert told(asked) == "POST /v1/users?a&d[] (2 bytes)"


def test_the_record_holds_no_values_and_has_a_length() -> None:
    """Of a query the names, cut; of a body its size."""
    asked = ask(path="/v1/" + "x" * 1000, query="&".join(f"{'n' * 60}{number}=hunter2" for number in range(100)))

    assert "hunter2" not in told(asked)
    assert len(told(asked)) < 1000


PATHS = {
    "above": "/v1/../admin",
    "above, escaped": "/v1/%2e%2e/admin",
    "above, half escaped": "/v1/.%2E/admin",
    "above, escaped twice": "/v1/%252e%252e/admin",
    "above with a parameter": "/v1/..;x=1/admin",
    "above with a blank": "/v1/..%20/admin",
    "above after a blank": "/v1/%20../admin",
    "here": "/v1/./users",
    "a slash in disguise": "/v1/..%2fadmin",
    "above, all in disguise": "/v1/group%2F..%2F..%2Fadmin",
    "above, after a slash in disguise": "/v1/group%2F../admin",
    "here, in disguise": "/v1/group%2f./name",
    "two slashes, one in disguise": "/v1/%2Fadmin.example.com/users",
    "two slashes, both in disguise": "/v1/group%2F%2Fname",
    "two slashes, the second as it is": "/v1/group%2F/name",
    "a slash in disguise, twice": "/v1/group%252Fname",
    "the slash after the base in disguise": "/v1%2Fusers",
    "a backslash": "/v1/..\\admin",
    "a backslash in disguise": "/v1/..%5Cadmin",
    "a host": "//evil.example.com/v1/users",
    "two slashes": "/v1//admin",
    "an absolute URL": "https://evil.example.com/v1/users",
    "a user": "@evil.example.com/v1",
    "a longer name": "/v10/users",
    "other letters": "/V1/users",
    "another path": "/admin",
    "the base in disguise": "/%76%31/users",
    "a query": "/v1/users?x=1",
    "a fragment": "/v1/users#x",
    "a line break": "/v1/users\r\nX-A: b",
    "a line break in disguise": "/v1/users%0d%0aX-A:b",
    "a NUL": "/v1/users%00",
    "a dot that is longer than it has to be": "/v1/%c0%ae%c0%ae/admin",
    "a wide slash": "/v1/..%ef%bc%8fadmin",
    "wide dots": "/v1/%ef%bc%8e%ef%bc%8e/admin",
    "a slash of mathematics": "/v1/x%e2%88%95..%e2%88%95admin",
    "a slash of fractions": "/v1/x%e2%81%84..%e2%81%84admin",
    "a blank": "/v1/a b",
    "a broken escape": "/v1/%zz",
    "letters outside ASCII": "/v1/ä",
    "nothing": "",
    "too long": "/v1/" + "x" * 9000,
}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_paths_that_could_be_read_as_others(path: str) -> None:
    """Nothing is decoded, and what a server may decode to another path is refused."""
    with pytest.raises(NotAllowedError):
        ask(path=path)


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v1/users",
        "/v1/a.b/c-d_e~f",
        "/v1/a%20b",
        "/v1/%C3%BC",
        "/v1/a:b@c;d",
        "/v1/...",
        "/v1/.x",
        "/v1/group%2Fname",
    ],
)
def test_paths_that_are_what_they_say(path: str) -> None:
    """The path that the owner fixed, and what stands below it."""
    assert ask(path=path)["path"] == path


def test_a_slash_within_a_name_is_not_one_between_paths() -> None:
    """An owner can name one project of GitLab's, and what is taken for it stands below it to the letter."""
    one = 'paths = ["projects/group%2Fname"]'

    assert ask(one, path="/v1/projects/group%2Fname/issues")["path"] == "/v1/projects/group%2Fname/issues"
    for path in ("/v1/projects/group/name/issues", "/v1/projects/group%2Fname%2Fissues", "/v1/projects/group%2Fnames"):
        with pytest.raises(NotAllowedError, match="is not one that its owner has fixed"):
            ask(one, path=path)


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/reports-secret", "/v1/users", "/v1/reports%2Fmine"])
def test_paths_beside_those_that_are_fixed(path: str) -> None:
    """Where the owner names paths, those alone count."""
    with pytest.raises(NotAllowedError, match="/v1/reports"):
        ask('paths = ["reports"]', path=path)


HEADERS = [
    *(
        "Authorization",
        "Host",
        "Cookie",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
    ),
    *("Transfer-Encoding", "Content-Length", "Upgrade", "Expect", "Forwarded", "X-Forwarded-Host", "X-Forwarded-For"),
    *("X-Forwarded-Proto", "X-Real-IP", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "X-HTTP-Method"),
    *("X-Method-Override", "X-Api-Key", "Range", "If-Range", "Accept-Encoding", "Accept-Charset", "Content-Encoding", "Origin"),
    *("Referer", "Max-Forwards", "Via", "Early-Data"),
]


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("change", [str, str.lower, str.upper], ids=["as it is", "small", "capital"])
def test_headers_that_no_member_sends(name: str, change: Any) -> None:
    """Who asks, how the connection is used, for whom, and which part of the answer: none of it is the member's to say."""
    with pytest.raises(NotAllowedError, match="not taken from a member"):
        ask(headers=[[change(name), "1"]])


@pytest.mark.parametrize(
    "pair",
    [
        ["Accept", "a\r\nX: b"],
        ["Accept", "a\nb"],
        ["Accept", "a\0"],
        ["Accept", "ä"],
        ["Acc ept", "a"],
        ["", "a"],
        ["A:b", "c"],
    ],
)
def test_headers_that_are_two(pair: list[str]) -> None:
    """What begins another header, or another request, is none."""
    with pytest.raises(NotAllowedError):
        ask(headers=[pair])


def test_headers_that_the_owner_has_fixed() -> None:
    """They are his, also where a member could send others of that name."""
    with pytest.raises(NotAllowedError):
        ask('headers = { Accept = "application/json" }', headers=[["accept", "text/html"]])
    with pytest.raises(NotAllowedError):
        permitted(
            target_of(body=BODY.replace("token =", 'auth = "header"\nheader = "Prefer"\ntoken =')),
            "read",
            {"method": "GET", "path": "/v1", "query": "", "headers": [["Prefer", "x"]], "body": "", "timeout_s": None},
        )


@pytest.mark.parametrize(
    "query",
    [
        *("tenant=8", "a=1&TENANT=8", "a=1;tenant=8", "%74enant=8", "_method=DELETE", "tenant"),
        *("tenant[]=8", "tenant%5B0%5D=8", "+tenant=8", "%20tenant=8", "tenant%00x=8", ".method=DELETE", "%5Bmethod=DELETE"),
    ],
)
def test_queries_that_say_what_the_broker_says(query: str) -> None:
    """A parameter that is attached stands there once; none has the request taken for another."""
    with pytest.raises(NotAllowedError):
        ask('params = { tenant = "7" }', query=query)


@pytest.mark.parametrize("query", ["a b", "a=1#x", "a\r\n", "ä", "x" * 9000, "%u0074enant=8", "100%"])
def test_queries_that_are_none(query: str) -> None:
    """Neither blanks nor line breaks nor a fragment."""
    with pytest.raises(UsageError):
        ask(query=query)


def test_methods() -> None:
    """A share to read reads; one to write does what the owner has listed; TRACE is for nobody."""
    assert ask(access="read", method="HEAD")["method"] == "HEAD"
    assert ask('methods = ["DELETE"]', method="DELETE")["method"] == "DELETE"
    for method, access, more in (
        ("POST", "read", 'methods = ["POST"]'),
        ("POST", "write", ""),
        ("get", "write", ""),
        ("TRACE", "write", 'methods = ["DELETE"]'),
        ("CONNECT", "write", ""),
        ("GET", "read", 'methods = ["POST"]'),
    ):
        with pytest.raises(NotAllowedError):
            ask(more, access, method=method)  # type: ignore[arg-type]


BODIES: dict[str, tuple[dict[str, Any], type[FlowfileNbError]]] = {
    "of a GET": ({"body": "aGk="}, NotAllowedError),
    "no base64": ({"method": "POST", "body": "~"}, UsageError),
    "too long": ({"method": "POST", "body": base64.b64encode(bytes(MAX_BODY_BYTES + 1)).decode()}, LimitError),
    "another method in a form": (
        {
            "method": "POST",
            "headers": [["Content-Type", "application/x-www-form-urlencoded"]],
            "body": base64.b64encode(b"a=1&%5fmethod=DELETE").decode(),
        },
        NotAllowedError,
    ),
    "another method in a form of two types": (
        {
            "method": "POST",
            "headers": [["Content-Type", "text/plain"], ["content-type", "multipart/form-data; boundary=x"]],
            "body": base64.b64encode(b'name="_method"').decode(),
        },
        NotAllowedError,
    ),
    "another method in what may be a form": (
        {"method": "POST", "body": base64.b64encode(b"_method=DELETE").decode()},
        NotAllowedError,
    ),
    "another method in a form, as PHP reads it": (
        {
            "method": "POST",
            "headers": [["Content-Type", "application/x-www-form-urlencoded"]],
            "body": base64.b64encode(b"a=1&.method=DELETE").decode(),
        },
        NotAllowedError,
    ),
    "another method in JSON": (
        {
            "method": "POST",
            "headers": [["Content-Type", "application/json"]],
            "body": base64.b64encode(b'{"\\u005fmethod": "DELETE"}').decode(),
        },
        NotAllowedError,
    ),
    "no time": ({"timeout_s": -1}, UsageError),
    "headers that are no pairs": ({"headers": ["Accept"]}, UsageError),
    "too many headers": ({"headers": [["Accept", "x"]] * 65}, LimitError),
    "long headers": ({"headers": [["Accept", "x" * 9000]]}, LimitError),
}


@pytest.mark.parametrize(("fields", "kind"), BODIES.values(), ids=BODIES)
def test_what_is_no_request(fields: dict[str, Any], kind: type[FlowfileNbError]) -> None:
    """It is refused before a session is touched."""
    with pytest.raises(kind):
        ask('methods = ["GET", "POST"]', **fields)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"payment_method=card&shipping.method=post"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="payment_method"\r\n\r\ncard\r\n--x--',
        ),
        ("application/json", b'{"payment_method": "card", "note": "_method=DELETE"}'),
        ("application/json", b"no JSON, _method"),
        ("text/plain", b"_method=DELETE"),
    ],
)
def test_bodies_that_name_a_method_of_another_kind(kind: str, body: bytes) -> None:
    """A way to pay is none to ask."""
    asked = ask('methods = ["POST"]', method="POST", headers=[["Content-Type", kind]], body=base64.b64encode(body).decode())

    assert base64.b64decode(asked["body"]) == body


@pytest.mark.parametrize(
    ("address", "pinned", "refused"),
    [
        ("93.184.216.34", "api.example.com", False),
        ("10.0.0.7", "api.example.com", False),
        ("64:ff9b::5db8:d822", "api.example.com", False),
        ("127.0.0.1", "127.0.0.1", False),
        ("::1", "localhost", False),
        ("127.0.0.1", "api.example.com", True),
        ("::1", "api.example.com", True),
        ("::ffff:127.0.0.1", "api.example.com", True),
        ("169.254.169.254", "169.254.169.254", True),
        ("::ffff:169.254.169.254", "api.example.com", True),
        ("64:ff9b::a9fe:a9fe", "api.example.com", True),
        ("fe80::1%eth0", "api.example.com", True),
        ("fd00:ec2::254", "api.example.com", True),
        ("fd00:ec2::23", "api.example.com", True),
        ("fd20:ce::254", "api.example.com", True),
        ("168.63.129.16", "168.63.129.16", True),
        ("64:ff9b:1::a9fe:a9fe", "api.example.com", True),
        ("2002:a9fe:a9fe::1", "api.example.com", True),
        ("::169.254.169.254", "api.example.com", True),
        ("::127.0.0.1", "api.example.com", True),
        ("fd12:3456::7", "api.example.com", False),
        ("2002:5db8:d822::1", "api.example.com", False),
        ("0.0.0.0", "0.0.0.0", True),
        ("::", "::", True),
        ("224.0.0.1", "api.example.com", True),
    ],
)
def test_addresses(address: str, pinned: str, refused: bool) -> None:
    """A name may not lead to the broker's own host, and nothing to where a cloud tells a machine its keys."""
    assert bool(refusal_of(address, pinned=pinned)) == refused

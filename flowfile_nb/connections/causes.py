"""The causes that connections fail for, by what drivers, servers and libraries say; and what to do about each."""

from __future__ import annotations

import re

from flowfile_nb.connections.access import TIMEOUT_S

_NETWORK = "check host and port, the VPN, and whether the server is up"
BAD_VALUE = "the driver does not take the value of one of the options"
NO_DATABASE = "the server has no database of that name"
REFUSED = "the server refused the user or the password"
ANOTHER = "check the user name; to store another password:  {replace}"
SILENT = "the server did not answer in time"
NO_HOST = "there is no host of that name"
NO_SUCH = "what answers on that port is no such server"
_RIGHT_SERVER = "check the port, and that the type fits the server"
CLOSED = "the server closed the connection before it was set up"
TLS_FIRST = "that port begins with TLS, and this connection does not"
BEGIN_WITH_TLS = (
    'check the port; to begin with TLS:  https://…  for an API,  security_protocol = "SASL_SSL"  for Kafka,'
    "  ?sslmode=require&sslnegotiation=direct  for PostgreSQL 17"
)

# (what the driver or the server says, what happened, what to do); the first that matches counts.
_CAUSES = (
    (
        r"invalid credentials|failed to authenticate",
        "the service refused the key",
        "to store another:  {replace}",
    ),
    (
        r"nosuchbucket|no such bucket|containernotfound|(?:bucket|container) does not exist",
        "there is no bucket, or container, of that name",
        "check its spelling, and that it is in this account and behind this endpoint",
    ),
    (
        r"nocredentialserror|unable to locate credentials|defaultcredentialserror|credentialunavailable|defaultazurecredential",
        "no login was found on this machine, and none is described",
        "describe a key with  %secret NAME;  or  anonymous = true  for what is public",
    ),
    (
        r"bad authentication type|badauthenticationtype|no authentication methods available",
        "the server takes another kind of login than the one that is described",
        "describe  password = %secret NAME  or  private_key = %secret NAME",
    ),
    (
        r"supported mechanisms|unsupported sasl mechanism",
        "the broker takes another kind of login than the one that is described",
        'ask its administrator which:  sasl_mechanism = "SCRAM-SHA-512"',
    ),
    (
        r"access denied for user .* to database|permission denied for database",
        "the server does not let this user into that database, or has none of that name",
        "check the database at the end of the URL, and the user's rights",
    ),
    (
        (
            r"password authentication failed|access denied for user|authentication failed|invalid password|no password supplied"
            r"|login failed for user|ora-01017|incorrect username or password|\b401\b|unauthorized|invalid access token"
        ),
        REFUSED,
        ANOTHER,
    ),
    # ClickHouse's words.
    (r"wrong password for user|unknown user ", REFUSED, ANOTHER),
    (
        r"invalidaccesskeyid|signaturedoesnotmatch|invalid_(?:client|grant)|(?:expired|invalid)token|authenticationfailed",
        "the service refused the key",
        "check the key's id; to store another key:  {replace}",
    ),
    (
        r"requesttimetooskewed|request has expired|requestexpired",
        "the service refused the request's time",
        "set this machine's clock: it is off by minutes",
    ),
    (
        r"database (?:\"[^\"]*\"|\S+) (?:does not|doesn't) exist|unknown.database|cannot open database|ora-12514|dpy-6001",
        NO_DATABASE,
        "check the database at the end of the URL",
    ),
    (
        r"no encryption|ssl off|insecure transport|require_secure_transport|ssl connection is required",
        "the server takes encrypted connections only",
        "add to the URL:  ?sslmode=require  for PostgreSQL,  ?ssl_ca=PATH  for MySQL",
    ),
    (
        r"role \"[^\"]*\" does not exist|no pg_hba\.conf entry|is not allowed to connect",
        "the server does not let this user in from here",
        "check the user name, and whether the server allows it from this machine",
    ),
    (
        r"service not known|could not translate host|failed to resolve|nodename nor|getaddrinfo|unknown mysql|name resolution",
        NO_HOST,
        "check the host's spelling, and whether the VPN is on",
    ),
    (r"connection refused|actively refused|connect call failed", "nothing listens on that host and port", _NETWORK),
    (
        r"server is unavailable or does not exist|could not connect to the endpoint",
        "no server answers there: there is no such host, or nothing that listens",
        _NETWORK,
    ),
    (r"no route to host|network is unreachable|host is unreachable", "no network leads from here to that host", _NETWORK),
    (
        # The second is paramiko's, for a server that does not greet.
        r"timed? ?out|timeout|no existing session",
        SILENT,
        f"{_NETWORK};  --timeout SECONDS  waits longer than the usual {TIMEOUT_S:g}",
    ),
    (
        (
            r"returned response code 400|invalid response to ssl|expected authentication request|packets? out of order"
            r"|packet sequence|banner|port \d+ is for"
        ),
        NO_SUCH,
        _RIGHT_SERVER,
    ),
    (
        r"root certificate file .* does not exist|no such file .*\.(?:pem|crt|key)|cannot load cert",
        "a certificate's file cannot be read",
        "check the paths of the TLS options, such as  sslrootcert",
    ),
    (
        r"does not match host|hostname mismatch|host name .* mismatch|doesn't match",
        "the server's certificate is for another host name",
        "write the host as its certificate has it",
    ),
    (
        r"certificate verify failed|self.signed|unable to get local issuer|unknown ca",
        "the server's certificate is not signed by an authority that is trusted here",
        (
            "name the authority's file:  ?sslrootcert=PATH  for PostgreSQL,  ?ssl_ca=PATH  for MySQL,  ?verify=PATH  for Trino,"
            "  ssl_ca_location  for Kafka"
        ),
    ),
    (
        r"does not support (?:ssl|it)|server doesn't support (?:ssl|it)|ssl is not enabled",
        "the server has no encrypted connections, and this one asks for one",
        "use a server with TLS; or, where the network is safe, leave out  sslmode  (PostgreSQL),  ssl_ca  and the like (MySQL)",
    ),
    # Our own, of an API's transport.
    (r"that port begins with tls", TLS_FIRST, BEGIN_WITH_TLS),
    (
        r"certificate.required|requires a valid client certificate",
        "the server asks for a certificate of yours",
        "name its files:  cert  and  cert_key  of an API,  ?sslcert=PATH&sslkey=PATH  for PostgreSQL",
    ),
    (
        # OpenSSL's words for what is no TLS at all, and librdkafka's guess at the reason.
        r"wrong.version.number|record layer failure|packet length too long|plaintext broker listener",
        "that port answers without TLS, and this connection begins with it",
        (
            "check the port; where the network is safe, without TLS:  http://…  for an API,"
            '  security_protocol = "SASL_PLAINTEXT"  for Kafka'
        ),
    ),
    (
        r"tls/ssl is required for authentication",
        "the driver sends a password through an encrypted connection only",
        'leave  http_scheme  out of  [connect_args],  or  http_scheme = "https"',
    ),
    (
        r"invalid \w+ value",
        BAD_VALUE,
        "compare it with the driver's page;  --debug  shows its own words",
    ),
    (r"unexpected_eof_while|eof occurred in", "the server hung up where encryption was to begin", _RIGHT_SERVER),
    (
        r"certificate|ssl|tls",
        "the encrypted connection could not be set up",
        "check the TLS options:  sslmode  for PostgreSQL,  ssl_ca  for MySQL,  verify  for Trino and APIs",
    ),
    (
        r"could not set lock on file|conflicting lock",
        "another process has the database file open",
        "close it there (%connect -x NAME), or end that process; to share it each has to read only:  ?access_mode=READ_ONLY",
    ),
    (
        # SQLite's words.
        r"database (?:table |schema )?is locked",
        "another program, or another connection of this kernel, keeps the file locked",
        "end what writes to it, or its transaction;  --timeout SECONDS  waits longer",
    ),
    (
        "same database file with a different configuration",
        "this kernel has the file open in another form, or with other options",
        "close that one first:  %connect -x NAME",
    ),
    (
        "not a valid duckdb|not a database",
        "the file is no database of this kind",
        "check the path, and that the kind fits the file:  sqlite:///…  or  duckdb:///…",
    ),
    ("server on socket", "no server answers at that socket of this machine", "to name a host:  postgresql://app@host/sales"),
    (
        r"can't open lib|data source name not found",
        "the ODBC driver, or data source, that is described is not installed here",
        "those that are:  pyodbc.drivers()  and  pyodbc.dataSources();  SQL Server without ODBC:  mssql+pymssql://…",
    ),
    (
        r"unable to open database file|no such file|cannot open file|is a directory|permission denied",
        "the database file cannot be opened",
        "check the path; an absolute one has four slashes:  {file}",
    ),
    (
        r"invalid (?:connection option|dsn|uri query)|unrecognized configuration parameter|unexpected keyword argument",
        "the driver does not take one of the options",
        "compare the keys with the driver's page;  --debug  shows its own words",
    ),
    (
        r"too many (?:clients|connections)|connection slots",
        "the server has no connection left",
        "close others, or try again later",
    ),
    (
        (
            r"closed the connection|connection was closed|server disconnected|lost connection|connection reset|broken pipe"
            r"|unexpected eof|server has gone away|server connection failed|remote end closed|connection aborted"
        ),
        CLOSED,
        f"{_RIGHT_SERVER};  the server's log may say more",
    ),
)


def cause_of(error: BaseException) -> tuple[str, str] | None:
    """Return what a library's error means, and what to do, with `{replace}` for what stores another; None if unknown."""
    texts = [_text(each) for each in (_of_system(error), error) if each is not None]
    return next(((what, remedy) for text in texts for pattern, what, remedy in _CAUSES if re.search(pattern, text)), None)


def chain(error: BaseException | None) -> list[BaseException]:
    """Return an error and what led to it."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        reason = getattr(error, "reason", None)
        error = error.__cause__ or error.__context__ or (reason if isinstance(reason, BaseException) else None)
    return found


def _of_system(error: BaseException) -> BaseException | None:
    """Return the first error of the operating system or of TLS that a library's was raised for, if there is one."""
    own = {"builtins", "http.client", "socket", "ssl"}
    found = [one for one in chain(error)[1:] if isinstance(one, OSError) and type(one).__module__ in own]
    return found[-1] if found else None


def _text(error: BaseException) -> str:
    """Return what an error says, without names: a host that is called `timeout` says nothing about the cause."""
    code = getattr(error, "error_code", "")
    # Its arguments are the plain text, which some show in quotes.
    text = " ".join([type(error).__name__, *map(str, error.args), str(getattr(code, "value", code))]).lower()
    text = re.sub(r"(?<!\w)(?:\"[^\"]*\"|'[^']*')", '""', text)
    return re.sub(r"\((?:[\w-]+\.)+[\w-]+\)", "()", text)

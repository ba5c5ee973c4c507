"""The keys of databases, kind by kind: what their own pages call things."""

from __future__ import annotations

from flowfile_nb.connections.keys import Key

_HOST = Key("host", required=True, example="db.example.com")
_DATABASE = Key("database", example="sales")
_USER = Key("username", example="app")
_PASSWORD = Key("password", secret=True)
_TABLES = tuple(Key(name, in_form=False) for name in ("query", "connect_args", "engine"))


def _server(port: int, *more: Key) -> tuple[Key, ...]:
    return _HOST, Key("port", number=True, example=str(port)), _DATABASE, _USER, _PASSWORD, *more


_TLS_OF_LIBPQ = Key("sslmode", "TLS", choices=("disable", "allow", "prefer", "require", "verify-ca", "verify-full"))
_CA_OF_LIBPQ = Key("sslrootcert", "CA file", example="/etc/ssl/ca.pem", when=("sslmode", ("verify-ca", "verify-full")))
_POSTGRESQL = _server(5432, _TLS_OF_LIBPQ, _CA_OF_LIBPQ)
_MYSQL = _server(3306, Key("ssl_ca", "CA file", example="/etc/ssl/ca.pem"))
_MSSQL = _server(1433)
_CLICKHOUSE = _server(8123)

_KEYS: dict[str, tuple[Key, ...]] = {
    "bigquery": (
        Key("project", required=True, example="my-project"),
        Key("dataset", example="sales"),
        Key("credentials_json", "Service account's key (JSON)", secret=True),
        Key("location", example="EU"),
    ),
    "clickhouse": _CLICKHOUSE,
    "clickhousedb": _CLICKHOUSE,
    "databricks": (
        _HOST._replace(example="adb-1234567890.12.azuredatabricks.net"),
        Key("http_path", "HTTP path", required=True, example="/sql/1.0/warehouses/0123456789abcdef"),
        Key("token", secret=True),
        Key("catalog", example="main"),
        Key("schema", example="sales"),
    ),
    "duckdb": (_DATABASE._replace(label="File", example="/home/me/data.duckdb"),),
    "mariadb": _MYSQL,
    "mssql": _MSSQL,
    "mysql": _MYSQL,
    "oracle": (
        _HOST,
        Key("port", number=True, example="1521"),
        Key("service_name", "Service", example="sales.example.com"),
        _USER,
        _PASSWORD,
    ),
    "postgres": _POSTGRESQL,
    "postgresql": _POSTGRESQL,
    "snowflake": (
        Key("account", required=True, example="myorg-account"),
        _USER,
        _PASSWORD,
        Key("private_key", "Private key (PEM), instead of a password", secret=True),
        _DATABASE,
        Key("schema", example="public"),
        Key("warehouse", example="compute_wh"),
        Key("role", example="analyst"),
    ),
    "sqlite": (_DATABASE._replace(label="File", example="/home/me/data.db"),),
    "sqlserver": _MSSQL,
    "trino": (
        _HOST,
        Key("port", number=True, example="8080"),
        Key("catalog", example="hive"),
        Key("schema", example="sales"),
        _USER,
        _PASSWORD,
        Key("token", "Token (JWT), instead of a password", secret=True),
    ),
}
_ANY = (_HOST, Key("port", number=True), _DATABASE, _USER, _PASSWORD)


def keys_of(kind: str) -> tuple[Key, ...]:
    """Return the keys of *kind*, a type such as `postgresql` or `mysql+pymysql`, and the tables that each database takes."""
    return (*_KEYS.get(kind.partition("+")[0].lower(), _ANY), *_TABLES)


def port_of(kind: str) -> str:
    """
    Return the port that a database of *kind* usually has, to be shown as an example.

    >>> port_of("mysql+pymysql"), port_of("a database that we do not know")
    ('3306', '5432')
    """
    return next((key.example for key in keys_of(kind) if key.name == "port" and key.example), "5432")

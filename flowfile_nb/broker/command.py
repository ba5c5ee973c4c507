"""`python -m flowfile_nb serve` and `python -m flowfile_nb token`: what the broker's operator types."""

from __future__ import annotations

import argparse
import os
import stat
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

from flowfile_nb.broker.limit_options import add_limit_options, limits_of, quotas_of
from flowfile_nb.errors import FlowfileNbError, MissingDriverError, UsageError

DIRECTORY = "FLOWFILE_NB_BROKER"
STORE = "FLOWFILE_NB_STORE"
_DAY_S = 24 * 60 * 60


def add_options(serve: argparse.ArgumentParser, token: argparse.ArgumentParser) -> None:
    """Add the options of both commands."""
    actions = token.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="make a token for a user, and print it once")
    listing = actions.add_parser("list", help="list tokens, without their text")
    revoke = actions.add_parser("revoke", help="make a token worthless, at once")
    for parser in (serve, add, listing, revoke):
        parser.add_argument("--directory", help=f"the broker's own folder (or ${DIRECTORY}, or systemd's $STATE_DIRECTORY)")
        parser.add_argument(
            "--store", help=f"sqlite, or postgresql://… for several replicas (or ${STORE}: no password in `ps`)"
        )
    where = serve.add_mutually_exclusive_group()
    where.add_argument("--socket", metavar="PATH", help="listen on a unix socket, in a folder of the broker's own")
    where.add_argument("--fd", type=int, metavar="N", help="take over a socket that somebody else holds")
    where.add_argument("--port", type=int, help="listen on a port; for containers, and for trying out")
    serve.add_argument("--host", default="127.0.0.1", help="of --port; any other than this machine needs TLS")
    serve.add_argument("--tls-cert", metavar="FILE", help="certificate chain, PEM")
    serve.add_argument("--tls-key", metavar="FILE", help="its private key, PEM")
    serve.add_argument("--prefix", help="what the paths stand behind (or $JUPYTERHUB_SERVICE_PREFIX)")
    serve.add_argument("--hub", metavar="URL", help="API of the JupyterHub that vouches (or $JUPYTERHUB_API_URL)")
    serve.add_argument("--service", help="the broker's name at the Hub (or $JUPYTERHUB_SERVICE_NAME): flowfile-secrets")
    serve.add_argument("--hub-token-file", metavar="FILE", help="the broker's own token at the Hub (or $JUPYTERHUB_API_TOKEN)")
    serve.add_argument(
        "--hub-grace-seconds",
        type=int,
        metavar="N",
        help="for how many seconds what runs goes on while the Hub says nothing, as while it is restarted (15)",
    )
    serve.add_argument("--oidc-issuer", metavar="URL", help="OpenID Connect issuer that vouches: Keycloak, Entra, Okta …")
    serve.add_argument("--oidc-audience", metavar="AUD", help="whom its tokens for this broker are for")
    serve.add_argument(
        "--oidc-user-claim",
        metavar="CLAIM",
        default="sub",
        help="the user's name (sub); preferred_username where the issuer keeps people from choosing it",
    )
    serve.add_argument("--oidc-groups-claim", metavar="CLAIM", default="", help="the names of his groups, if they shall count")
    add_limit_options(serve)
    serve.add_argument("--import", dest="import_from", metavar="PATH", help="take over a Flowfile Docker database, and end")
    serve.add_argument(
        "--admin",
        action="append",
        default=[],
        metavar="USER",
        help="user of this host, or of the issuer, who may make groups, by his name at the broker: alice, or host:alice",
    )
    serve.add_argument(
        "--same-users",
        metavar="SOURCES",
        help="of hub, oidc and host those whose users of one name are one user; else a user of this host is called host:NAME",
    )
    add.add_argument("user")
    add.add_argument("--name", default="", help="what it is for")
    add.add_argument("--days", type=float, help="how long it holds; for ever if not given")
    add.add_argument("--use-only", action="store_true", help="to use what is shared, not to change or read anything")
    add.add_argument("--admin", action="store_true", help="the user may make groups")
    listing.add_argument("user", nargs="?")
    revoke.add_argument("id", type=int)


def run_token(args: argparse.Namespace, environ: Mapping[str, str], out: TextIO) -> int:
    """Make, list or revoke tokens; return the exit status."""
    team = _open(args, environ)
    try:
        if args.action == "add":
            return _add(team, args, out)
        if args.action == "list":
            return _list(team, args, out)
        if not team.revoke_token(args.id):
            print(f"there is no token {args.id}", file=sys.stderr)
            return 1
        print(f"token {args.id} is revoked", file=out)
        return 0
    finally:
        team.close()


def run_serve(args: argparse.Namespace, environ: MutableMapping[str, str]) -> int:
    """Serve until a signal; return the exit status."""
    import asyncio
    import logging

    serving = _imported()
    before = serving.close_up(environ)
    # Of other libraries only what must be known: they may repeat a request, or a statement to the store.
    logging.basicConfig(level=logging.CRITICAL, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("flowfile_nb.broker").setLevel(logging.INFO)
    team = _open(args, before, quotas_of(args))
    try:
        if args.import_from:
            print(f"taken over: {team.take_over(args.import_from)}", file=sys.stderr)
            return 0
        try:
            team.require_key()
        except FlowfileNbError as error:
            # Not an end: each call is told, and a key that is given later counts.
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        asyncio.run(serving.serve(team, _served(serving, args, before)))
    finally:
        team.close()
    return 0


def directory_of(args: argparse.Namespace, environ: Mapping[str, str]) -> str:
    """Return the broker's own folder."""
    if given := args.directory or environ.get(DIRECTORY) or environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return os.path.abspath(given)
    home = environ.get("XDG_DATA_HOME") or os.path.join(os.path.expanduser("~"), ".local", "share")
    return os.path.join(home, "flowfile-nb-broker")


def _open(args: argparse.Namespace, environ: Mapping[str, str], quotas: Any = None) -> Any:
    _imported()
    from flowfile_nb.broker.team import open_team

    return open_team(args.store or environ.get(STORE) or "sqlite", directory_of(args, environ), environ, quotas=quotas)


def _imported() -> Any:
    try:
        from flowfile_nb.broker import serving
    except ModuleNotFoundError as error:
        raise MissingDriverError(
            f"the broker needs the library {error.name}", hint="pip install 'flowfile-nb[team]'  in the broker's environment"
        ) from None
    return serving


def _served(serving: Any, args: argparse.Namespace, environ: Mapping[str, str]) -> Any:
    token = environ.get("JUPYTERHUB_API_TOKEN", "")
    if args.hub_token_file:
        try:
            with open(args.hub_token_file, encoding="ascii") as file:
                token = file.read().strip()
        except (OSError, ValueError):
            raise UsageError("the file of --hub-token-file cannot be read", hint="one line, readable for the broker") from None
    return serving.Served(
        sockets=_sockets(args, environ),
        prefix=args.prefix or environ.get("JUPYTERHUB_SERVICE_PREFIX") or "/",
        tls=_tls(args),
        hub_api=args.hub or environ.get("JUPYTERHUB_API_URL", ""),
        service=args.service or environ.get("JUPYTERHUB_SERVICE_NAME") or "flowfile-secrets",
        hub_token=token,
        hub_grace_s=args.hub_grace_seconds,
        oidc=_oidc(args),
        admins=args.admin,
        same_users=args.same_users,
        limits=limits_of(args),
    )


def _oidc(args: argparse.Namespace) -> Any:
    if not args.oidc_issuer and not args.oidc_audience:
        return None
    if not args.oidc_issuer or not args.oidc_audience:
        raise UsageError(
            "an issuer makes tokens for many services: which are for this broker has to be said",
            hint="--oidc-issuer URL --oidc-audience AUD",
        )
    try:
        import jwt as _jwt  # noqa: F401 - only whether it is there
    except ModuleNotFoundError:
        raise MissingDriverError(
            "tokens of an OpenID Connect issuer need the library PyJWT",
            hint="pip install 'flowfile-nb[oidc]'  in the broker's environment",
        ) from None
    from flowfile_nb.broker.identities.issuer import IssuerKeys
    from flowfile_nb.broker.identities.oidc import Claims, OidcIdentity

    claims = Claims(args.oidc_audience, args.oidc_user_claim, args.oidc_groups_claim)
    return OidcIdentity(IssuerKeys(args.oidc_issuer), claims)


def _sockets(args: argparse.Namespace, environ: Mapping[str, str]) -> list[Any]:
    from flowfile_nb.broker.sockets import adopt, bind_path, bind_port, is_near, passed_sockets

    if args.socket:
        listening = bind_path(args.socket)
        folder = os.path.dirname(args.socket)
        if not os.stat(folder).st_mode & stat.S_IXOTH:
            print(
                f"note: other users cannot reach a socket in {folder};  chmod 711 '{folder}'  lets them knock", file=sys.stderr
            )
        return [listening]
    if args.fd is not None:
        return [adopt(args.fd)]
    if args.port is not None:
        if not is_near(args.host) and not args.tls_cert:
            raise UsageError(
                "tokens and values would travel in clear: a host other than this machine needs TLS",
                hint="--tls-cert FILE --tls-key FILE",
            )
        if is_near(args.host):
            print(
                "note: a port of this host is anybody's when the broker ends, with all that is sent there then;"
                " --socket PATH, or a socket that systemd holds, is nobody else's",
                file=sys.stderr,
            )
        return [bind_port(args.host, args.port)]
    if passed := passed_sockets(environ):
        return passed
    raise UsageError(
        "where shall the broker listen?", hint="--socket /run/flowfile-nb/broker.sock,  or systemd's .socket unit,  or --port"
    )


def _tls(args: argparse.Namespace) -> Any:
    if not args.tls_cert:
        return None
    import ssl

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(args.tls_cert, args.tls_key)
    except (OSError, ssl.SSLError):
        raise UsageError("the certificate or its key cannot be read", hint="--tls-cert FILE --tls-key FILE, both PEM") from None
    return context


def _add(team: Any, args: argparse.Namespace, out: TextIO) -> int:
    scopes = ("use",) if args.use_only else ("use", "manage")
    lifetime_s = None if args.days is None else int(args.days * _DAY_S)
    if args.admin:
        team.set_admin(args.user, True)
    print(team.issue_token(args.user, name=args.name, scopes=scopes, lifetime_s=lifetime_s), file=out)
    print(f"Kept, as a hash, in the store {team.place}: serve has to use the same (--directory, --store).", file=sys.stderr)
    print("It is not shown again. The kernel takes it from FLOWFILE_NB_TEAM_TOKEN.", file=sys.stderr)
    return 0


def _list(team: Any, args: argparse.Namespace, out: TextIO) -> int:
    import datetime as dt

    def day(seconds: int | None) -> str:
        return "-" if seconds is None else dt.datetime.fromtimestamp(seconds, dt.timezone.utc).strftime("%Y-%m-%d")

    print(f"{'id':>4}  {'user':<20} {'scopes':<11} {'made':<10}  {'until':<10}  {'used':<10}  name", file=out)
    for one in team.tokens(args.user):
        moments = "  ".join(f"{day(moment):<10}" for moment in (one.created_at, one.expires_at, one.last_used_at))
        print(f"{one.id:>4}  {one.user:<20} {','.join(one.scopes):<11} {moments}  {one.name}", file=out)
    return 0

"""``openalgo-ws doctor``: looks at everything a server needs and says what to do about the rest."""

from __future__ import annotations

import errno
import secrets
import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import partial

import click
from cryptography import x509
from rich.console import Console
from sqlalchemy import Connection
from twisted.internet import reactor

from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.database import BadDatabaseUrl, Database, DatabaseUnavailable
from openalgo_ws.accounts.sessions import read_session
from openalgo_ws.accounts.store import list_users
from openalgo_ws.cli.setup import Setup, pass_setup
from openalgo_ws.config import Settings, SettingsError
from openalgo_ws.gateway.listen import EndpointError, certificate_files, endpoint
from openalgo_ws.process import descriptor_limit
from openalgo_ws.registry import AdapterBroken, AdapterNotFound, Registry
from openalgo_ws.symbols.store import stored

__all__ = ["Finding", "Grade", "doctor"]

#: Descriptors that a server uses besides its clients.
_OWN_DESCRIPTORS = 100
#: A certificate that ends within this time is worth a word.
_SOON = timedelta(days=14)


class Grade(Enum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


Finding = tuple[Grade, str]

_STYLES = {Grade.OK: "green", Grade.WARN: "yellow", Grade.FAIL: "bold red"}


@click.command()
@pass_setup
def doctor(setup: Setup) -> None:
    """Check the whole set-up and say what to do. The exit code is 1 if something is broken."""
    console = Console(soft_wrap=True, highlight=False)
    failed = False
    for grade, text in _examine(setup):
        failed = failed or grade is Grade.FAIL
        console.print(f"[{_STYLES[grade]}]{grade.value:5}[/]", text, markup=True)
    raise SystemExit(int(failed))


def _examine(setup: Setup) -> Iterator[Finding]:
    try:
        settings = setup.load().settings
    except SettingsError as error:
        yield Grade.FAIL, f"configuration: {error}"
        return
    yield Grade.OK, "configuration: every value is allowed"
    registry = Registry()
    yield from _adapters(registry)
    yield from _endpoints(settings)
    yield from _bus(settings)
    yield from _descriptors(settings)
    vault = None
    try:
        salt = settings.fernet_salt
        vault = Vault(settings.pepper(), None if salt is None else salt.reveal())
        yield Grade.OK, "pepper: there is one"
    except SettingsError:
        yield Grade.FAIL, f"pepper: none; put this into .env: API_KEY_PEPPER={secrets.token_hex(32)}"
    yield from _database(settings, vault, registry)


def _adapters(registry: Registry) -> Iterator[Finding]:
    adapters, broken = registry.all()
    for problem in broken:
        yield Grade.FAIL, f"adapters: {problem}"
    if not broken:
        yield Grade.OK, f"adapters: {len(adapters)} installed"


def _endpoints(settings: Settings) -> Iterator[Finding]:
    for text in settings.endpoints():
        try:
            endpoint(reactor, text)
        except EndpointError as error:
            yield Grade.FAIL, f"listen: {error}"
            continue
        files = certificate_files(text)
        if files is not None:
            yield _certificate(text, files[1].read_bytes())
        yield _port(text)


def _certificate(text: str, pem: bytes) -> Finding:
    ends = x509.load_pem_x509_certificate(pem).not_valid_after_utc
    left = ends - datetime.now(UTC)
    if left < timedelta(0):
        return Grade.FAIL, f"certificate: expired on {ends:%Y-%m-%d}; renew it ({text})"
    if left < _SOON:
        return Grade.WARN, f"certificate: expires on {ends:%Y-%m-%d}; renew it soon ({text})"
    return Grade.OK, f"certificate: valid until {ends:%Y-%m-%d}"


def _port(text: str) -> Finding:
    kind, _, rest = text.partition(":")
    port = rest.partition(":")[0]
    if kind not in ("tcp", "ssl") or not port.isdigit():
        return Grade.OK, f"listen: {text}"
    host = text.partition("interface=")[2].partition(":")[0]
    return _free("listen", host, int(port), "stop it, or choose another with WEBSOCKET_PORT")


def _bus(settings: Settings) -> Iterator[Finding]:
    if settings.zmq_mode == "bind":
        yield _free("bus", settings.zmq_host, settings.zmq_port, "stop it, or choose another ZMQ_PORT")
    elif not settings.zmq_endpoints:
        yield Grade.FAIL, "bus: ZMQ_MODE is connect; name the publishers in ZMQ_ENDPOINTS"


def _free(what: str, host: str, port: int, advice: str) -> Finding:
    with closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                # A server that runs is no fault; another program in its place is.
                return (
                    Grade.WARN,
                    f"{what}: port {port} is in use, perhaps by a running server; else {advice}",
                )
            return Grade.FAIL, f"{what}: can't have {host}:{port}: {error.strerror}"
    return Grade.OK, f"{what}: port {port} is free"


def _descriptors(settings: Settings) -> Iterator[Finding]:
    _, hard = descriptor_limit()
    wanted = settings.max_connections + _OWN_DESCRIPTORS
    if hard < wanted:
        advice = "raise it (ulimit -Hn, LimitNOFILE=) or lower WS_MAX_CONNECTIONS"
        yield Grade.FAIL, f"descriptors: {hard} may be open, {wanted} are wanted; {advice}"
    else:
        yield Grade.OK, f"descriptors: {hard} may be open"


def _database(settings: Settings, vault: Vault | None, registry: Registry) -> Iterator[Finding]:
    try:
        database = Database(settings.database_url.reveal())
    except BadDatabaseUrl as error:
        yield Grade.FAIL, f"database: DATABASE_URL: {error}"
        return
    try:
        database.prepare()
        whose = "our own" if database.own else "an OpenAlgo installation's"
        yield Grade.OK, f"database: reachable, {whose}"
        yield from database.call(lambda connection: list(_symbols(connection)))
        if vault is not None:
            users = partial(_users, vault=vault, registry=registry, settings=settings)
            yield from database.call(lambda connection: list(users(connection)))
    except DatabaseUnavailable as error:
        yield Grade.FAIL, f"database: {error}"
    finally:
        database.stop()


def _symbols(connection: Connection) -> Iterator[Finding]:
    masters = stored(connection)
    for master in masters:
        yield Grade.OK, f"symbols: {master.rows} instruments of {master.broker or 'an unknown broker'}"
    if not masters:
        yield Grade.WARN, "symbols: no instrument master; openalgo-ws symbols update BROKER"


def _users(connection: Connection, vault: Vault, registry: Registry, settings: Settings) -> Iterator[Finding]:
    users = list_users(connection, vault)
    if not users:
        yield Grade.WARN, "users: none; openalgo-ws user add NAME --broker BROKER"
    for user in users:
        row = read_session(connection, vault, user.name)
        if row is None or user.broker is None:
            yield Grade.WARN, f"users: {user.name} has no broker session; openalgo-ws login {user.name}"
            continue
        try:
            adapter = registry.load(user.broker)
        except (AdapterNotFound, AdapterBroken) as error:
            yield Grade.FAIL, f"users: {user.name}: {error}"
            continue
        missing = adapter.missing(adapter.credentials_from(row, settings.broker_environment()))
        if missing:
            names = ", ".join(missing)
            advice = f"openalgo-ws login {user.name} --set {missing[0]}=…"
            yield Grade.WARN, f"users: {user.name} on {user.broker} lacks {names}; {advice}"
        else:
            yield Grade.OK, f"users: {user.name} on {user.broker} has all credentials"

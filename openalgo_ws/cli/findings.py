"""What the doctor looks at: one function a subject, each with its findings and what to do about them.

A failure is what keeps a server from starting or from doing its work; a warning is what a person
should know. No finding holds a secret, but for the pepper that `pepper` suggests.
"""

from __future__ import annotations

import errno
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from cryptography import x509
from sqlalchemy import Connection, inspect, select

from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.database import BadDatabaseUrl, Database, DatabaseUnavailable
from openalgo_ws.accounts.schema import api_keys, is_own
from openalgo_ws.accounts.sessions import read_session
from openalgo_ws.accounts.store import User, list_users
from openalgo_ws.cli.listening import Listening, listening_of
from openalgo_ws.cli.logins import age, last_rollover, login_of
from openalgo_ws.config import Settings, SettingsError, stays_on_loopback
from openalgo_ws.feeds.sessions import BadSessions, MarketSessions
from openalgo_ws.gateway.listen import EndpointError, certificate_files, endpoint
from openalgo_ws.process import descriptor_limit
from openalgo_ws.registry import AdapterBroken, AdapterNotFound, Offered, Registry
from openalgo_ws.symbols.store import stored

__all__ = [
    "Finding",
    "Grade",
    "adapters",
    "bus",
    "certificate",
    "database",
    "descriptors",
    "files",
    "listening",
    "pepper",
    "status",
]

#: Descriptors that a server uses besides its clients.
_OWN_DESCRIPTORS = 100
#: A certificate that ends within this time is worth a word.
_SOON = timedelta(days=14)


class Grade(Enum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


#: What was found, in one line for people.
Finding = tuple[Grade, str]

_NO_USERS = (Grade.WARN, "users: there are none; openalgo-ws user add NAME --broker BROKER")


def adapters(registry: Registry) -> Iterator[Finding]:
    """Whether every installed adapter can be used."""
    found, broken = registry.all()
    for problem in broken:
        yield Grade.FAIL, f"adapters: {problem}; update or remove its package"
    if not broken:
        yield Grade.OK, f"adapters: {len(found)} installed"


def listening(settings: Settings, reactor: Any) -> Iterator[Finding]:
    """The endpoints for clients: their form, certificates and ports."""
    for text in settings.endpoints():
        try:
            endpoint(reactor, text)
        except EndpointError as error:
            yield Grade.FAIL, f"listen: {error}"
            continue
        pem = certificate_files(text)
        if pem is not None:
            yield certificate(pem[1], datetime.now(UTC))
        where = listening_of(text)
        if where is None:
            yield Grade.OK, f"listen: {text}"
            continue
        yield _free("listen", where.host, where.port, "WEBSOCKET_PORT or WS_LISTEN")
        if not where.tls and not stays_on_loopback(text):
            yield Grade.WARN, _in_the_clear(where)


def _in_the_clear(where: Listening) -> str:
    return (
        f"listen: API keys travel unencrypted to port {where.port}; use an ssl: endpoint in WS_LISTEN "
        "or a proxy with TLS before it"
    )


def certificate(file: Path, now: datetime) -> Finding:
    """Whether the first certificate of a PEM file holds at ``now``. The file is known to be readable."""
    found = x509.load_pem_x509_certificate(file.read_bytes())
    begins, ends = found.not_valid_before_utc, found.not_valid_after_utc
    if now < begins:
        return (
            Grade.FAIL,
            f"certificate: {file} is valid only from {begins:%Y-%m-%d %H:%M} UTC; check the clock",
        )
    if now > ends:
        return Grade.FAIL, f"certificate: {file} expired on {ends:%Y-%m-%d}; renew it"
    if ends - now < _SOON:
        return Grade.WARN, f"certificate: {file} expires on {ends:%Y-%m-%d}; renew it soon"
    return Grade.OK, f"certificate: {file} is valid until {ends:%Y-%m-%d}"


def bus(settings: Settings) -> Iterator[Finding]:
    """Whether the bus can have its port, where it is ours to bind."""
    if settings.zmq_mode == "bind":
        host = "" if settings.zmq_host == "*" else settings.zmq_host
        yield _free("bus", host, settings.zmq_port, "ZMQ_PORT")
        if settings.zmq_port in _client_ports(settings):
            yield Grade.FAIL, f"bus: port {settings.zmq_port} is for clients too; choose another ZMQ_PORT"


def status(settings: Settings) -> Iterator[Finding]:
    """Whether the status server can have its port."""
    port = settings.status_port
    if port == 0:
        return
    yield _free("status", settings.status_host, port, "STATUS_PORT")
    taken = _client_ports(settings)
    if settings.zmq_mode == "bind":
        taken.add(settings.zmq_port)
    if port in taken:
        yield Grade.FAIL, f"status: port {port} is for clients or the bus too; choose another STATUS_PORT"


def _client_ports(settings: Settings) -> set[int]:
    listening = map(listening_of, settings.endpoints())
    return {one.port for one in listening if one is not None and one.port}


def _free(what: str, host: str, port: int, variable: str) -> Finding:
    if port == 0:
        return Grade.OK, f"{what}: any free port"
    with closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as probe:
        # As a server does: what is left of connections that have ended is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                # A server that runs is no fault; another program in its place is.
                advice = f"if not by a running server, stop what has it or change {variable}"
                return Grade.WARN, f"{what}: port {port} is in use; {advice}"
            return Grade.FAIL, f"{what}: can't have {host}:{port}: {error.strerror}; change {variable}"
    return Grade.OK, f"{what}: port {port} is free"


def descriptors(settings: Settings) -> Iterator[Finding]:
    """Whether as many sockets may be open as clients may come. The server raises its own soft limit."""
    _, hard = descriptor_limit()
    wanted = settings.max_connections + _OWN_DESCRIPTORS
    if hard < wanted:
        advice = "raise it (ulimit -Hn, LimitNOFILE=) or lower WS_MAX_CONNECTIONS"
        yield Grade.FAIL, f"descriptors: {hard} may be open, {wanted} are wanted; {advice}"
    else:
        yield Grade.OK, f"descriptors: {hard} may be open, {wanted} are wanted"


def files(settings: Settings) -> Iterator[Finding]:
    """The files that settings name, and brokers whose certificates are not checked."""
    if settings.trust_roots is not None:
        try:
            count = len(x509.load_pem_x509_certificates(settings.trust_roots.read_bytes()))
            yield Grade.OK, f"authorities: {count} in {settings.trust_roots}"
        except (OSError, ValueError) as error:
            yield Grade.FAIL, f"authorities: WS_TRUST_ROOTS can't be read ({type(error).__name__})"
    try:
        MarketSessions.load(settings.exchange_sessions)
    except (OSError, BadSessions) as error:
        yield Grade.FAIL, f"trading hours: WS_EXCHANGE_SESSIONS can't be read: {error}"
    for broker, checked in settings.verify_tls.items():
        if not checked:
            variable = f"{broker.upper()}_VERIFY_TLS"
            yield Grade.WARN, f"brokers: {broker}'s certificate is not checked; remove {variable}=false"


def pepper(settings: Settings) -> tuple[Vault | None, Finding]:
    """What encrypts, and whether there is one; if not, a new pepper is suggested."""
    try:
        vault = Vault(settings.pepper(), settings.salt())
    except SettingsError:
        advice = f"put this into .env, and keep it: API_KEY_PEPPER={secrets.token_hex(32)}"
        return None, (Grade.FAIL, f"pepper: there is none; {advice}")
    return vault, (Grade.OK, "pepper: there is one")


def database(settings: Settings, vault: Vault | None, registry: Registry, now: datetime) -> Iterator[Finding]:
    """Whether the database can be used, and what a server would find in it. Nothing is written to it."""
    try:
        opened = Database(settings.database_url.reveal())
    except BadDatabaseUrl as error:
        yield Grade.FAIL, f"database: DATABASE_URL: {error}"
        return
    file = opened.file
    if file is not None and not file.exists():
        # Opening it would make it.
        yield _not_there(file)
        yield from _empty(settings)
        return
    try:
        owner = opened.call(_owner)
        yield Grade.OK, f"database: reachable, {owner or 'empty; the server makes its tables'}"
        if file is not None and file.stat().st_mode & 0o077:
            yield Grade.WARN, f"database: other users can open it; chmod 600 {file}"
        if owner is None:
            yield from _empty(settings)
        else:
            yield from opened.call(lambda connection: _content(connection, settings, vault, registry, now))
    except DatabaseUnavailable as error:
        yield Grade.FAIL, f"database: {error}; check DATABASE_URL"
    finally:
        opened.stop()


def _not_there(file: Path) -> Finding:
    folder = file.absolute().parent
    if not folder.is_dir():
        return Grade.FAIL, f"database: there is no folder {folder}; make it or change DATABASE_URL"
    if not os.access(folder, os.W_OK | os.X_OK):
        return Grade.FAIL, f"database: can't write to {folder}; change its owner or DATABASE_URL"
    return Grade.OK, f"database: {file} is not there yet; the server makes it"


def _owner(connection: Connection) -> str | None:
    """Whose the database is; None if it is empty."""
    if not inspect(connection).get_table_names():
        return None
    return "our own" if is_own(connection) else "an OpenAlgo installation’s"


def _empty(settings: Settings) -> Iterator[Finding]:
    """What is missing where nothing is there."""
    yield _NO_USERS
    if settings.feeds == "own":
        yield Grade.WARN, "symbols: there are none; openalgo-ws symbols update BROKER"


def _content(
    connection: Connection, settings: Settings, vault: Vault | None, registry: Registry, now: datetime
) -> list[Finding]:
    found: list[Finding] = []
    users: list[User] = []
    if vault is not None:
        users = list_users(connection, vault)
        found += _users(connection, users, vault)
    if settings.feeds != "own":
        found.append((Grade.OK, f"feeds: {settings.feeds}; no instruments or broker logins are needed"))
        return found
    found += _symbols(connection, users)
    if vault is not None:
        offered = Offered(registry, settings.valid_brokers)
        found += [_session(connection, user, vault, offered, settings, now) for user in users]
    return found


def _users(connection: Connection, users: list[User], vault: Vault) -> Iterator[Finding]:
    if not users:
        yield _NO_USERS
        return
    yield Grade.OK, f"users: {len(users)}"
    keys = connection.scalars(select(api_keys.c.api_key_encrypted)).all()
    if keys and not any(vault.decrypt(key) for key in keys):
        advice = "set them to those it was written with, or give every user a new key and login"
        yield Grade.FAIL, f"pepper: API_KEY_PEPPER or FERNET_SALT is not this database's; {advice}"


def _symbols(connection: Connection, users: list[User]) -> Iterator[Finding]:
    masters = stored(connection)
    for master in masters:
        yield Grade.OK, f"symbols: {master.rows:,} instruments of {master.broker or 'an unknown broker'}"
    there = {master.broker for master in masters if master.rows}
    for broker in sorted({user.broker for user in users if user.broker} - there):
        yield Grade.WARN, f"symbols: none of {broker}; {_how_to_load(connection, broker)}"
    if not masters and not users:
        yield Grade.WARN, f"symbols: there are none; {_how_to_load(connection, 'BROKER')}"


def _how_to_load(connection: Connection, broker: str) -> str:
    if is_own(connection):
        return f"openalgo-ws symbols update {broker}"
    return "log in to that broker in OpenAlgo, which loads them"


def _session(
    connection: Connection, user: User, vault: Vault, offered: Offered, settings: Settings, now: datetime
) -> Finding:
    """A user's broker session: whether it has all it needs, and how old it is."""
    again = f"openalgo-ws login {user.name} --ask"
    row = read_session(connection, vault, user.name)
    if row is None or user.broker is None:
        return Grade.WARN, f"login: {user.name} has no broker session; {again}"
    who = f"login: {user.name} on {user.broker}"
    try:
        adapter = offered.load(user.broker)
    except AdapterNotFound:
        known = ", ".join(offered.names())
        return Grade.FAIL, f"{who}: this broker may not be used; VALID_BROKERS and adapters allow {known}"
    except AdapterBroken as error:
        return Grade.FAIL, f"{who}: {error}"
    credentials = adapter.credentials_from(row, settings.broker_environment())
    missing = adapter.missing(credentials)
    if missing:
        return Grade.WARN, f"{who} lacks {', '.join(missing)}; {again}"
    if not row.auth and not row.feed_token:
        # The environment's keys, or none, may do for this broker's feed; nobody has logged in all the same.
        return Grade.WARN, f"{who} has a session without a token, or with one of another pepper; {again}"
    login = login_of(credentials.values())
    if login.expires is not None and login.expires <= now:
        return Grade.WARN, f"{who} expired {age(now - login.expires)} ago; {again}"
    at = settings.session_expiry_time
    if login.expires is None and login.issued is not None and login.issued < last_rollover(now, at):
        made = age(now - login.issued)
        return Grade.WARN, f"{who} is {made} old, made before tokens rolled over at {at:%H:%M} IST; {again}"
    text = f"{who} has all credentials"
    if login.issued is not None:
        text += f", {age(now - login.issued)} old"
    if login.expires is not None:
        text += f", valid for {age(login.expires - now)}"
    return Grade.OK, text

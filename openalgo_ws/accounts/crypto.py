"""How the platform keeps secrets: Argon2 for keys, Fernet for what must be read again.

Source: PROTOCOL section 3. ``API_KEY_PEPPER`` and ``FERNET_SALT`` are the platform's own.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64encode
from hashlib import pbkdf2_hmac, sha256

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from cryptography.fernet import Fernet, InvalidToken

from openalgo_ws.config.settings import PEPPER_CHARACTERS

__all__ = ["PEPPER_CHARACTERS", "Vault", "new_api_key"]

_STATIC_SALT = b"openalgo_static_salt"
_ITERATIONS = 100_000


def new_api_key() -> str:
    """A new API key: 64 hexadecimal digits."""
    return secrets.token_hex(32)


class Vault:
    """Hashes, encrypts and decrypts with one installation's pepper. Has no readable repr.

    ``hasher`` verifies and makes the Argon2 hashes; the default has argon2-cffi's parameters.
    Deriving the Fernet key takes about 50 ms: make a vault once. ValueError for a short pepper.
    """

    __slots__ = ("_fernet", "_hasher", "_pepper")

    def __init__(self, pepper: str, salt: str | None = None, hasher: PasswordHasher | None = None) -> None:
        if len(pepper) < PEPPER_CHARACTERS:
            raise ValueError(f"API_KEY_PEPPER must have at least {PEPPER_CHARACTERS} characters")
        self._pepper = pepper
        self._hasher = hasher or PasswordHasher()
        key = pbkdf2_hmac("sha256", pepper.encode(), _salt(salt), _ITERATIONS, 32)
        self._fernet = Fernet(urlsafe_b64encode(key))

    def __repr__(self) -> str:
        return "<Vault>"

    def encrypt(self, text: str) -> str:
        """Fernet text, as the platform's columns hold it."""
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, token: str | None) -> str | None:
        """The text; None for what is empty or was not encrypted with this pepper and salt."""
        if not token:
            return None
        try:
            return self._fernet.decrypt(token.encode()).decode()
        except (InvalidToken, UnicodeDecodeError, UnicodeEncodeError):
            return None

    def digest(self, api_key: str) -> bytes:
        """A keyed digest that stands for the key in memory: HMAC-SHA256 with the pepper."""
        return hmac.digest(self._pepper.encode(), api_key.encode("utf-8", "surrogatepass"), sha256)

    def hash(self, api_key: str) -> str:
        """The Argon2 hash of key and pepper (about 100 ms)."""
        return self._hasher.hash(api_key + self._pepper)

    def verify(self, stored: str, api_key: str) -> bool:
        """Whether a stored hash is that of the key (about 100 ms)."""
        try:
            return self._hasher.verify(stored, api_key + self._pepper)
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False


def _salt(salt: str | None) -> bytes:
    if salt is not None and len(salt) >= 32:
        try:
            return bytes.fromhex(salt)
        except ValueError:
            return _STATIC_SALT
    return _STATIC_SALT

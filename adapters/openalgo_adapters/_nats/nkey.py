"""NATS' keys: an Ed25519 pair as text (base32 with a prefix and a check sum), and signing with it.

Source: the public description of nkeys. Only users' keys, which begin with ``U`` and ``SU``.
"""

from __future__ import annotations

import base64
import binascii

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

__all__ = ["BadSeed", "KeyPair"]

_USER = 20 << 3
_SEED = 18 << 3
#: A seed has two prefixes, of five bits each: that it is a seed, and of whom.
_SEED_PREFIX = bytes([_SEED | (_USER >> 5), (_USER & 31) << 3])
_RAW = 32


class BadSeed(ValueError):
    """This text is no user's seed. The message never holds it."""


class KeyPair:
    """A user's pair of keys. No readable repr: it is a secret."""

    def __init__(self, raw: bytes) -> None:
        """From the 32 bytes of an Ed25519 private key."""
        self._raw = raw
        self._private = Ed25519PrivateKey.from_private_bytes(raw)

    @classmethod
    def from_seed(cls, seed: str) -> KeyPair:
        """From the text ``SU…``. Raises `BadSeed`."""
        try:
            packed = base64.b32decode(seed + "=" * (-len(seed) % 8))
        except (binascii.Error, ValueError):
            raise BadSeed("the seed is not base32") from None
        body, check = packed[:-2], packed[-2:]
        if len(body) != len(_SEED_PREFIX) + _RAW or not body.startswith(_SEED_PREFIX):
            raise BadSeed("not the seed of a user")
        if _check_sum(body) != check:
            raise BadSeed("the seed's check sum is wrong")
        return cls(body[len(_SEED_PREFIX) :])

    @property
    def seed(self) -> str:
        """The private key as text."""
        return _text(_SEED_PREFIX + self._raw)

    @property
    def public(self) -> str:
        """The public key as text."""
        raw = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return _text(bytes([_USER]) + raw)

    def sign(self, data: bytes) -> str:
        """The signature, in base64 with padding."""
        return base64.b64encode(self._private.sign(data)).decode()

    def __repr__(self) -> str:
        return "<KeyPair>"


def _text(body: bytes) -> str:
    return base64.b32encode(body + _check_sum(body)).decode().rstrip("=")


def _check_sum(body: bytes) -> bytes:
    """CRC-16/XMODEM."""
    return binascii.crc_hqx(body, 0).to_bytes(2, "little")

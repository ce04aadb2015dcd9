"""Secrets of devices, gateways and the broker's administrator: made and hashed here, never logged.

Every secret is 128 random bits. That is what makes the cheap hash right: bcrypt's cost protects
passwords that can be guessed, and these cannot. At cost 11 a storm of 2,000 reconnecting devices
kept the broker busy for 95 s and most of them gave up; at cost 4 it took 1.6 s. It is also the
least that bcrypt knows, for NATS as for us, and costs a millisecond of a core: many secrets are
hashed on all cores at once.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import bcrypt

SECRET_BYTES = 16
BCRYPT_COST = 4
TOLD_EVERY = 5000  # secrets: some seconds of a small machine

_BCRYPT_ALPHABET = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_BASE64_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def new_secret() -> str:
    """Return 128 random bits as 32 hexadecimal digits: easy to read out and to type."""
    return secrets.token_hex(SECRET_BYTES)


def hash_secret(secret: str) -> str:
    """Return the bcrypt hash that the database keeps of a device's secret."""
    return bcrypt.hashpw(secret.encode(), bcrypt.gensalt(BCRYPT_COST)).decode()


def hash_secrets(
    clear: Sequence[str], on_progress: Callable[[int, int], None] = lambda _done, _of: None
) -> list[str]:
    """Return the hashes of many secrets, in their order.

    Parameters
    ----------
    clear
        The secrets.
    on_progress
        Told how many of how many are done, after each `TOLD_EVERY`.
    """
    hashes: list[str] = []
    with ThreadPoolExecutor() as pool:  # bcrypt lets other threads run meanwhile
        for low in range(0, len(clear), TOLD_EVERY):
            hashes += pool.map(hash_secret, clear[low : low + TOLD_EVERY])
            on_progress(len(hashes), len(clear))
    return hashes


def hash_for_config(user: str, secret: str) -> str:
    """Return the bcrypt hash of a secret that we keep in the clear ourselves.

    The salt follows from user and secret, so that the same rows give the same configuration
    text and an unchanged file is not reloaded. Equal salts would only help somebody who guesses
    secrets, and these are not guessable.
    """
    digest = hashlib.sha256(f"mizumori\0{user}\0{secret}".encode()).digest()[:SECRET_BYTES]
    encoded = base64.b64encode(digest).rstrip(b"=")
    salt = encoded.translate(bytes.maketrans(_BASE64_ALPHABET, _BCRYPT_ALPHABET))
    return bcrypt.hashpw(secret.encode(), b"$2b$%02d$%s" % (BCRYPT_COST, salt)).decode()


def matches(secret: str, secret_hash: str) -> bool:
    """Tell whether a secret is the one that was hashed."""
    return bcrypt.checkpw(secret.encode(), secret_hash.encode())

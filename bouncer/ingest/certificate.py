"""The certificate behind STARTTLS: the TLS context made from it, and when it expires."""

import re
import ssl
from datetime import UTC, datetime
from pathlib import Path

from bouncer.config import Tls
from bouncer.errors import ConfigurationError
from bouncer.files import octets_of

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


def server_context(tls: Tls) -> ssl.SSLContext:
    """TLS 1.2 and up, our order of ciphers; raises OSError (ssl.SSLError) if unusable."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(tls.certificate, tls.key)
    return context


def check(tls: Tls) -> None:
    """Raises ConfigurationError for a certificate and key that cannot be used together."""
    try:
        for path in (tls.certificate, tls.key):
            octets_of(path)  # OpenSSL would wait for a pipe
        server_context(tls)
        expiry(tls.certificate)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"smtp.tls: {tls.certificate}, {tls.key}: {error}") from error


def expiry(certificate: Path) -> datetime:
    """When the first certificate of a PEM file expires; ValueError if that cannot be read."""
    first = _PEM.search(certificate.read_text("ascii"))
    if first is None:
        raise ValueError(f"{certificate}: no certificate in it")
    try:
        return _not_after(ssl.PEM_cert_to_DER_cert(first[0]))
    except (IndexError, ValueError) as error:
        raise ValueError(f"{certificate}: the certificate cannot be read") from error


def _not_after(der: bytes) -> datetime:
    # RFC 5280 section 4.1: TBSCertificate is [version], serial, algorithm, issuer, validity, ...
    _, certificate, _ = _element(der)
    _, body, _ = _element(certificate)
    tag, _, rest = _element(body)
    for _ in range(3 if tag == _VERSION else 2):
        _, _, rest = _element(rest)
    tag, validity, _ = _element(rest)
    if tag != _SEQUENCE:
        raise ValueError("no validity")
    _, _, rest = _element(validity)
    tag, text, _ = _element(rest)
    form = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}[tag]
    return datetime.strptime(text.decode("ascii"), form).replace(tzinfo=UTC)


def _element(der: bytes) -> tuple[int, bytes, bytes]:
    """Tag and content of the first DER element, and what follows it."""
    tag, length, start = der[0], der[1], 2
    if length >= 0x80:
        start = 2 + (length & 0x7F)
        length = int.from_bytes(der[2:start], "big")
    return tag, der[start : start + length], der[start + length :]

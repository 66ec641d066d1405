"""When a certificate expires, as openssl says it too."""

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bouncer.config import Tls
from bouncer.ingest.certificate import expiry
from tests.ingest.conftest import make_certificate


def test_it_expires_when_openssl_says(certificate: Tls) -> None:
    assert expiry(certificate.certificate) == _end_by_openssl(certificate.certificate)


def test_a_certificate_beyond_2049_has_its_date_in_another_form(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl (Debian package openssl)")
    make_certificate(openssl, tmp_path / "tls.crt", tmp_path / "tls.key", days=20_000)
    assert expiry(tmp_path / "tls.crt").year > 2050
    assert expiry(tmp_path / "tls.crt") == _end_by_openssl(tmp_path / "tls.crt")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no certificate",
        "-----BEGIN CERTIFICATE-----\nMAMCAQA=\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nMIA=\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    ],
)
def test_what_is_no_certificate_says_so(text: str, tmp_path: Path) -> None:
    (tmp_path / "tls.crt").write_text(text)
    with pytest.raises(ValueError, match="certificate"):
        expiry(tmp_path / "tls.crt")


def _end_by_openssl(path: Path) -> datetime:
    shown = subprocess.run(
        ["openssl", "x509", "-in", path, "-noout", "-enddate"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    text = shown.strip().partition("=")[2]
    return datetime.strptime(text, "%b %d %H:%M:%S %Y %Z").replace(tzinfo=UTC)

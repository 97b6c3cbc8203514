"""Goal: a client over TLS works with an authority of one's own, and says what is wrong with it.

Method: the real polosd with a certificate that the test makes.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import polosd
import pytest

from polos import InvalidArgumentError, PolosClient, UnavailableError


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        + ["-nodes", "-days", "2", "-subj", "/CN=localhost"]
        + ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(tmp_path / "key.pem")]
        + ["-out", str(path)],
        check=True,
        capture_output=True,
    )
    return path


@pytest.fixture
def url(certificate: Path, tmp_path: Path) -> Iterator[str]:
    files = {
        "POLOSD_TLS_CERTIFICATES": str(certificate),
        "POLOSD_TLS_KEY": str(certificate.with_name("key.pem")),
    }
    server = polosd.Polosd(polosd.binary(), tmp_path / "data", files)
    server.start()
    yield f"https://{server.address}"
    server.kill()


async def test_an_authority_of_ones_own(url, certificate, monkeypatch):
    monkeypatch.setenv("POLOS_CA_FILE", str(certificate))
    async with PolosClient(url) as client:
        assert await client.list_executions() == []


async def test_an_authority_nobody_knows_is_explained(url, monkeypatch):
    monkeypatch.setattr("polos._wire.channel.FIRST_CONTACT_SECONDS", 0.5)
    async with PolosClient(url) as client:
        with pytest.raises(UnavailableError, match="POLOS_CA_FILE names the file"):
            await client.list_executions()


async def test_a_file_that_is_not_there_is_named(url, monkeypatch):
    monkeypatch.setenv("POLOS_CA_FILE", "/nowhere.pem")
    with pytest.raises(InvalidArgumentError, match="POLOS_CA_FILE.*/nowhere.pem.*No such file"):
        async with PolosClient(url) as client:
            await client.list_executions()

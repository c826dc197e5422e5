"""Whom the clients trust behind ``https:``: the public authorities, or those of an operator's own."""

import ssl
from contextlib import aclosing
from pathlib import Path

import pytest
import trustme

from app.backends.base import Prompt, choose_trust
from app.errors import BackendUnavailable, MisconfiguredError
from tests.backends.conftest import Connect
from tests.backends.servers import MODEL, ScriptedServer, listening, ollama_routes, openai_routes

PROMPT = Prompt(system="Tell the facts.", user="How many roofs?")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority that nobody knows."""
    return trustme.CA()


@pytest.fixture
def identity(authority: trustme.CA) -> ssl.SSLContext:
    """A server's side of TLS, vouched for by that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("kind", ["ollama", "openai"])
async def test_an_authority_of_the_house_is_trusted_once_it_is_named(
    authority: trustme.CA,
    identity: ssl.SSLContext,
    kind: str,
    is_known: bool,
    connect_ollama: Connect,
    connect_openai: Connect,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    if is_known:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    connect, routes, model = {
        "ollama": (connect_ollama, ollama_routes(), MODEL),
        "openai": (connect_openai, openai_routes(), "m"),
    }[kind]
    server = ScriptedServer(routes)
    async with listening(server, trust=identity):
        backend = connect(server.url.replace("http:", "https:"), model=model)
        if is_known:
            async with aclosing(await backend.open(PROMPT)) as voice:
                assert [chunk async for chunk in voice]
        else:
            with pytest.raises(BackendUnavailable):
                await backend.open(PROMPT)
    assert bool(server.requests) is is_known


def test_a_file_of_authorities_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nothing.pem"))
    with pytest.raises(MisconfiguredError, match="SSL_CERT_FILE"):
        choose_trust("https://box.internal")

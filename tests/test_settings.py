"""Settings are read whole or the start is refused with a sentence that names the variable."""

import pytest

from app.errors import MisconfiguredError
from app.settings import HOSTED_MODEL, HOSTED_URL, complete_ollama_host, read_settings


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"UNDERVOLT_PRT": "1"}, "UNDERVOLT_PRT is no setting"),
        ({"UNDERVOLT_PORT": "x"}, "UNDERVOLT_PORT"),
        ({"UNDERVOLT_PORT": "70000"}, "UNDERVOLT_PORT"),
        ({"UNDERVOLT_TODAY": "today"}, "UNDERVOLT_TODAY"),
        ({"UNDERVOLT_ANSWER_TIMEOUT_S": "nan"}, "UNDERVOLT_ANSWER_TIMEOUT_S"),
        ({"UNDERVOLT_LOCAL_ONLY": "perhaps"}, "UNDERVOLT_LOCAL_ONLY"),
        ({"UNDERVOLT_DATABASE_URL": "mysql://x"}, "UNDERVOLT_DATABASE_URL: must begin with postgresql://"),
        ({"UNDERVOLT_BACKENDS": "{"}, "UNDERVOLT_BACKENDS: not a JSON list"),
        ({"UNDERVOLT_BACKENDS": '[{"kind": "openai"}]'}, "needs url and model"),
        ({"UNDERVOLT_BACKENDS": '[{"kind": "magic"}]'}, "UNDERVOLT_BACKENDS (0.kind)"),
        ({"UNDERVOLT_BACKENDS": '[{"kind": "ollama", "url": "ftp://x"}]'}, "http://"),
        (
            {"UNDERVOLT_BACKENDS": '[{"kind": "openai", "url": "http://x", "model": "m", "api_key_env": "KEY"}]'},
            "names the variable KEY",
        ),
    ],
)
def test_a_wrong_setting_is_named(environment: dict[str, str], said: str) -> None:
    with pytest.raises(MisconfiguredError) as refused:
        read_settings(environment)
    assert said in str(refused.value)


def test_a_wrong_value_is_not_repeated() -> None:
    with pytest.raises(MisconfiguredError) as refused:
        read_settings({"UNDERVOLT_DATABASE_URL": "mysql://user:secret-7f3a@host/db"})
    assert "secret-7f3a" not in str(refused.value)


def test_an_empty_value_is_unset() -> None:
    assert read_settings({"UNDERVOLT_PORT": "", "UNDERVOLT_HOSTED_API_KEY": ""}).port == 8000


def test_unset_backends_are_ollama_and_the_embedded_one() -> None:
    kinds = [(backend.kind, backend.is_hosted) for backend in read_settings({}).effective_backends]
    assert kinds == [("ollama", False), ("embedded", False)]


def test_a_hosted_key_is_the_one_switch_for_hosted_nemotron() -> None:
    foreign = read_settings({"NVIDIA_API_KEY": "k", "OPENAI_API_KEY": "k"})
    assert not any(backend.is_hosted for backend in foreign.effective_backends)
    switched = read_settings({"UNDERVOLT_HOSTED_API_KEY": "k"})
    hosted = switched.effective_backends[1]
    assert (hosted.url, hosted.model, hosted.is_hosted) == (HOSTED_URL, HOSTED_MODEL, True)
    assert [backend.kind for backend in switched.effective_backends] == ["ollama", "openai", "embedded"]


def test_a_list_of_backends_alone_decides() -> None:
    settings = read_settings(
        {
            "UNDERVOLT_BACKENDS": '[{"kind": "openai", "url": "http://127.0.0.1:4000", "model": "m"}]',
            "UNDERVOLT_HOSTED_API_KEY": "k",
            "OLLAMA_HOST": "elsewhere",
        }
    )
    (only,) = settings.effective_backends
    assert (only.kind, only.is_hosted) == ("openai", True)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("box", "http://box:11434"),
        ("box:99", "http://box:99"),
        (":99", "http://127.0.0.1:99"),
        ("http://box", "http://box:80"),
        ("https://box/ollama/", "https://box:443/ollama"),
        ("[::1]:99", "http://[::1]:99"),
        ('"box"', "http://box:11434"),
    ],
)
def test_ollamas_own_variable_is_read_as_ollama_reads_it(given: str, meant: str) -> None:
    assert complete_ollama_host(given) == meant
    assert read_settings({"OLLAMA_HOST": given}).ollama_host == meant

"""Every environment variable of the service, typed, with its unit and default.

Read once where a process starts (:func:`read_settings`) and handed down; importing a module reads no environment.
"""

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator

from app.errors import MisconfiguredError

PREFIX = "UNDERVOLT_"
HOSTED_URL = "https://integrate.api.nvidia.com/v1"
HOSTED_MODEL = "nvidia/nemotron-3-nano-30b-a3b"
OLLAMA_URL = "http://127.0.0.1:11434"
OLLAMA_PORT = 11434


class Deadlines(BaseModel, frozen=True, extra="forbid"):
    """How long one backend may take, in seconds, for each part of an answer."""

    connect_s: float = Field(default=0.5, gt=0, le=60, description="to open a connection")
    first_token_s: float = Field(default=8, gt=0, le=600, description="from the request to the first chunk")
    load_s: float = Field(default=12, gt=0, le=600, description="for the first chunk where the model must load")
    gap_s: float = Field(default=2, gt=0, le=600, description="between two chunks")
    total_s: float = Field(default=20, gt=0, le=600, description="from the request to the end")
    queue_s: float = Field(default=8, gt=0, le=600, description="for a slot, behind the questions of others")


class BackendSettings(BaseModel, frozen=True, extra="forbid"):
    """One place where a language model runs."""

    kind: Literal["ollama", "openai", "embedded"] = Field(description="how it is spoken to")
    url: str | None = Field(default=None, description="its address; an openai one ends in /v1")
    model: str | None = Field(default=None, description="unset: the first Nemotron 3 Nano that an Ollama has")
    api_key_env: str | None = Field(default=None, description="the variable that holds its key")
    hosted: bool | None = Field(default=None, description="whether questions leave the house; unset: only openai's do")
    plans: bool = Field(default=False, description="able enough to plan")
    escalate: bool = Field(default=False, description="asked to plan what neither rules nor the others could read")
    num_ctx: int = Field(
        default=4096, ge=512, le=1_048_576, description="the context in tokens that budgets count with"
    )
    keep_alive: str = Field(default="20m", description="how long an Ollama keeps the model after a question")
    slots: int | None = Field(
        default=None, ge=1, le=1000, description="questions answered at once; unset: one, and any number for openai"
    )
    queue: int = Field(default=2, ge=0, le=1000, description="questions that may wait for a slot")
    memory_gb: float | None = Field(
        default=None,
        gt=0,
        le=100_000,
        description="what an Ollama's box has for all its models, its GPU's where that has memory of its own; unset: "
        "three quarters of this machine's, and unknown for another, where no other model is then pushed out",
    )
    deadlines: Deadlines = Field(default=Deadlines(), description="seconds for each part of an answer")

    @property
    def is_hosted(self) -> bool:
        """Whether a question leaves the house when this backend is asked."""
        return self.kind == "openai" if self.hosted is None else self.hosted

    @model_validator(mode="after")
    def _needs_an_address(self) -> "BackendSettings":
        if self.kind == "openai" and not (self.url and self.model):
            raise ValueError("an openai backend needs url and model")
        if self.url is not None and urlsplit(self.url).scheme not in {"http", "https"}:
            raise ValueError("url must begin with http:// or https://")
        return self


def _parse_backends(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("not a JSON list") from None


def _parse_list(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class Settings(BaseModel, frozen=True, extra="forbid"):
    """What differs between deployments. Each name is an environment variable with the prefix ``UNDERVOLT_``."""

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8000, ge=1, le=65535, description="port to listen on")
    database_url: SecretStr | None = Field(
        default=None, description="PostgreSQL with PostGIS 3.2 or newer; unset: the checkout's own private cluster"
    )
    database_read_url: SecretStr | None = Field(default=None, description="a replica for reads; unset: DATABASE_URL")
    database_pool_size: int = Field(
        default=8,
        ge=1,
        le=100,
        description="connections for sessions, and twice as many again for single statements",
    )
    statement_timeout_s: float = Field(default=2, gt=0, le=600, description="the longest a query may run")
    stale_after_h: int = Field(
        default=36, ge=2, le=8784, description="hours after a city's last good run from which readiness warns"
    )
    city: str | None = Field(default=None, description="the city of /ask where none is named; unset: all loaded")
    today: date | None = Field(default=None, description="fixes the date that relative words refer to; for tests")
    cors_origins: Annotated[tuple[str, ...], BeforeValidator(_parse_list)] = Field(
        default=(), description="origins, by comma, whose pages may POST to /ask; GET is open to any"
    )
    cache_control: str = Field(default="no-cache", description="Cache-Control of permit replies")
    tile_cache_mb: int = Field(default=64, ge=0, le=100_000, description="memory a process keeps tiles in, megabytes")
    export_max_rows: int = Field(default=100_000, ge=1, le=100_000_000, description="permits an export gives at most")
    public_url: str | None = Field(default=None, description="the address callers use, for links; unset: as requested")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="least level logged")
    local_only: bool = Field(default=False, description="no question ever goes to a hosted backend")
    answer_timeout_s: float = Field(default=25, gt=0, le=600, description="the longest an answer may take")
    ollama_model: str | None = Field(default=None, description="the model of the Ollama at OLLAMA_HOST")
    hosted_api_key: SecretStr | None = Field(default=None, description="switches hosted Nemotron on")
    hosted_url: str = Field(default=HOSTED_URL, description="an OpenAI-compatible address")
    hosted_model: str = Field(default=HOSTED_MODEL, description="the hosted model's name")
    hosted_max_per_hour: int | None = Field(default=None, ge=0, description="hosted calls an hour at most")
    hosted_usd_per_million_input_tokens: float | None = Field(
        default=None, ge=0, le=10_000, description="the hosted model's price, for /metrics; with the next one"
    )
    hosted_usd_per_million_output_tokens: float | None = Field(
        default=None, ge=0, le=10_000, description="likewise, for what the model writes"
    )
    box_watts: float | None = Field(
        default=None, ge=0, le=100_000, description="power of the box at the wall, for /metrics; nothing measures it"
    )
    usd_per_kwh: float | None = Field(default=None, ge=0, le=100, description="price of electricity, for /metrics")
    backends: Annotated[tuple[BackendSettings, ...] | None, BeforeValidator(_parse_backends)] = Field(
        default=None, description="a JSON list of backends in order; set, it alone decides"
    )
    embedded_model_path: Path | None = Field(default=None, description="a GGUF file for the embedded backend")

    ollama_host: str = Field(default=OLLAMA_URL, description="Ollama's own variable OLLAMA_HOST, read without prefix")
    backend_keys: dict[str, SecretStr] = Field(default={}, description="the keys that api_key_env entries name")

    @field_validator("database_url", "database_read_url")
    @classmethod
    def _is_postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and urlsplit(value.get_secret_value()).scheme.split("+")[0] not in {
            "postgresql",
            "postgres",
        }:
            raise ValueError("must begin with postgresql://")
        return value

    @property
    def effective_backends(self) -> tuple[BackendSettings, ...]:
        """The backends in order of preference: the list that was set, or Ollama, hosted if switched on, embedded."""
        if self.backends is not None:
            return self.backends
        ollama = BackendSettings(kind="ollama", url=self.ollama_host, model=self.ollama_model, plans=True)
        hosted = BackendSettings(
            kind="openai",
            url=self.hosted_url,
            model=self.hosted_model,
            api_key_env="UNDERVOLT_HOSTED_API_KEY",
            hosted=True,
            plans=True,
        )
        embedded = BackendSettings(kind="embedded")
        return (ollama, hosted, embedded) if self.hosted_api_key else (ollama, embedded)


TESTS_OWN = "UNDERVOLT_TEST_DATABASE_URL"
"""Read by the tests alone, and no mistake where the service meets it."""
OWN_NAMES = frozenset(Settings.model_fields) - {"ollama_host", "backend_keys"}


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings from ``environment``.

    Raises :class:`MisconfiguredError` with a sentence that names the variable, for an unknown name too. An empty value
    counts as unset.
    """
    given: dict[str, Any] = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX) and value and name != TESTS_OWN
    }
    unknown = sorted(PREFIX + name.upper() for name in given.keys() - OWN_NAMES)
    if unknown:
        raise MisconfiguredError(f"{unknown[0]} is no setting of this service; scripts/explain.py settings lists them")
    if environment.get("OLLAMA_HOST"):
        given["ollama_host"] = complete_ollama_host(environment["OLLAMA_HOST"])
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        raise MisconfiguredError(_name_first_fault(error)) from None
    return settings.model_copy(update={"backend_keys": _collect_keys(settings, environment)})


def complete_ollama_host(value: str) -> str:
    """Give Ollama's ``OLLAMA_HOST`` (``0.0.0.0``, ``box:1234``, a URL) as a URL that a client can call."""
    text = value.strip().strip("\"'")
    url = urlsplit(text if "://" in text else f"http://{text}")
    host = url.hostname or "127.0.0.1"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - a client cannot call "all addresses"
    default_port = {"http": OLLAMA_PORT, "https": 443}.get(url.scheme, OLLAMA_PORT)
    if "://" in text and url.scheme == "http" and url.port is None:
        default_port = 80
    return f"{url.scheme}://{f'[{host}]' if ':' in host else host}:{url.port or default_port}{url.path.rstrip('/')}"


def _collect_keys(settings: Settings, environment: Mapping[str, str]) -> dict[str, SecretStr]:
    names = [backend.api_key_env for backend in settings.effective_backends if backend.api_key_env]
    for name in names:
        if not environment.get(name):
            raise MisconfiguredError(f"{PREFIX}BACKENDS names the variable {name} for a key, and it is not set")
    return {name: SecretStr(environment[name]) for name in names}


def _name_first_fault(error: ValidationError) -> str:
    fault = error.errors(include_input=False, include_url=False)[0]
    first, *rest = [str(part) for part in fault["loc"]] or ["BACKENDS"]
    inside = f" ({'.'.join(rest)})" if rest else ""
    return f"{PREFIX}{first.upper()}{inside}: {fault['msg'].removeprefix('Value error, ')}"

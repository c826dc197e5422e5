"""Shows what the service would do: ``settings`` lists every setting, ``prompt "QUESTION"`` what a model is given.

``python -m scripts.explain prompt "how many solar permits in 2015?" [--lat 30.27 --lng -97.74]`` prints the bytes of
the system prompt and of the user turn, as the smallest context of the backends allows: those of telling, or of planning
where rules know no word for what is asked. Nothing is sent anywhere.
"""

import argparse
import asyncio
import json
import os
import sys

from pydantic import BaseModel

from app.ask import interpreter, narrator
from app.ask.answer import Resources, make_prompt, prepare
from app.ask.planner import Question
from app.backends.base import Prompt
from app.backends.router import build_router
from app.database import make_engine
from app.errors import UndervoltError
from app.permits.register import RegisterCache
from app.settings import OWN_NAMES, PREFIX, BackendSettings, Deadlines, Settings, read_settings

DEFAULT_CONTEXT = 4096


def main() -> int:
    """Run the command line; 0 where something was shown."""
    parser = argparse.ArgumentParser(
        prog="explain", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("settings", help="every setting with its default")
    prompt = commands.add_parser("prompt", help="the bytes that a model is given for a question")
    prompt.add_argument("question")
    prompt.add_argument("--lat", type=float)
    prompt.add_argument("--lng", type=float)
    arguments = parser.parse_args()
    if arguments.command == "settings":
        print("\n".join(list_settings()))
        return 0
    try:
        asked = Question(question=arguments.question, lat=arguments.lat, lng=arguments.lng)
        return asyncio.run(explain_prompt(read_settings(os.environ), asked))
    except (UndervoltError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1


def list_settings() -> list[str]:
    """Describe each setting on a line: its variable, what it says, and its default."""
    fields = {name: field for name, field in Settings.model_fields.items() if name in OWN_NAMES}
    lines = [
        f"{PREFIX}{name.upper()}: {field.description} (default: {'unset' if field.default is None else field.default})"
        for name, field in sorted(fields.items())
    ]
    entry = describe_fields(f"{PREFIX}BACKENDS[].", BackendSettings, leaving_out="deadlines")
    limits = describe_fields(f"{PREFIX}BACKENDS[].deadlines.", Deadlines)
    return [*lines, *entry, *limits, f"OLLAMA_HOST: {Settings.model_fields['ollama_host'].description}"]


def describe_fields(prefix: str, model: type[BaseModel], *, leaving_out: str = "") -> list[str]:
    """Describe each field of an entry on a line."""
    return [
        f"{prefix}{name}: {field.description}"
        + ("" if field.is_required() else f" (default: {'unset' if field.default is None else field.default})")
        for name, field in model.model_fields.items()
        if name != leaving_out
    ]


async def explain_prompt(settings: Settings, asked: Question) -> int:
    """Print the prompt of a question, or why there is none."""
    engine = make_engine(settings)
    router = build_router(settings)
    # Without "narrate" no model is asked, for planning neither.
    unasked = asked.model_copy(update={"narrate": False})
    prepared = await prepare(Resources(engine, RegisterCache(), router, settings), unasked)
    await router.aclose()
    await engine.dispose()
    if prepared.planned.is_open:
        show_prompt(interpreter.build_prompt(asked.question, today=prepared.today), version=interpreter.SYSTEM_VERSION)
        return 0
    if prepared.facts is None:
        print(f"No model is asked: {prepared.planned.outcome}. {' '.join(prepared.planned.sentences)}", file=sys.stderr)
        return 1
    prompt = make_prompt(prepared, prepared.facts, router.context_tokens(local_only=False) or DEFAULT_CONTEXT)
    if prompt is None:
        print("No model is asked: its context has no room for a fact.", file=sys.stderr)
        return 1
    show_prompt(prompt, version=narrator.SYSTEM_VERSION)
    return 0


def show_prompt(prompt: Prompt, *, version: int) -> None:
    """Print what a model is given: the bytes of both turns, and the schema of its answer where there is one."""
    print(f"--- system, version {version}\n{prompt.system}\n--- user\n{prompt.user}")
    if prompt.schema is not None:
        print(f"--- schema\n{json.dumps(prompt.schema)}")


if __name__ == "__main__":
    sys.exit(main())

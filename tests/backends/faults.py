"""What can go wrong between this service and a model, and what then has to come of it: the one list of it.

The tests in ``tests/faults`` stage every entry and hold the service to it, those of the backends take their replies
from here, and ``docs/faults.md`` is written from it. Words are as a reader of that page wants them.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from tests.backends.servers import (
    DONE,
    EVENTS,
    JSON,
    NDJSON,
    NOTHING_RUNS,
    Reply,
    chat,
    completion,
    delta,
    done,
    error_line,
    event,
    line,
    part,
    whole,
)

TRUE = "There are 2 solar permits issued in 2015."
"""What the register of ``tests/faults`` supports, so that a voice that says it is heard."""
KILLED = "killed with signal 9"
STOPPED = "stopped with SIGSTOP"

Route = Reply | Sequence[Reply]
Kind = Literal["ollama", "openai", "embedded"]
End = Literal["complete", "cut", "hang"]


class Ends(Enum):
    """What ends a fault, so that the caller need not wait for it any longer."""

    AT_ONCE = "itself, at once"
    CONNECT = "`connect_s`"
    LOOK = "`LOOK_S`"
    BEGIN = "`first_token_s`, or `load_s` where it is the last to be asked and may have to load"
    FIRST_TOKEN = "`first_token_s`"
    LOAD = "`load_s`"
    GAP = "`gap_s`"
    TOTAL = "`total_s`"
    LENGTH = "the length allowed, as soon as it is reached"
    NOTHING = "nothing: it is borne"

    @property
    def limits(self) -> bool:
        """Whether it is a limit in seconds."""
        return self not in {Ends.AT_ONCE, Ends.LENGTH, Ends.NOTHING}


class Told(Enum):
    """What the caller reads after the answer, which is complete in every case."""

    NEXT = "the next backend's narrative, or none"
    KEPT = "the sentences told so far"
    DROPPED = "nothing: what was said is not in the facts"
    WHOLE = "the narrative"
    LATER = "the next backend's narrative; without one this backend's, once it has loaded"


class Breaker(Enum):
    """What the backend's breaker does: after one such question, and after two in a row."""

    COUNTS = "closed, then open for 30 s"
    COUNTS_ALONE = "closed; without a next backend, whose question waits, then open for 30 s"
    FATAL = "open for 15 min"
    AS_TOLD = "open for as long as the server says"
    CLOSED = "closed"


class Place(Enum):
    """Where a backend is, when it is not at a server that speaks HTTP to us."""

    NOBODY_LISTENS = "nobody listens there (connection refused)"
    NO_SUCH_NAME = "its name is not known (DNS)"
    NAME_SERVER_HANGS = "the name server does not answer"
    NOBODY_PICKS_UP = "no answer to the connection (box switched off, packets dropped)"
    NO_TLS = "no TLS behind `https:`"
    STRANGER = "a certificate that nobody trusts"
    TLS_HANGS = "TLS that does not come about"
    NO_HTTP = "another protocol behind the port (SSH)"


class Story(Enum):
    """What goes wrong between two questions rather than in one."""

    EVICTED = "model evicted between two questions"
    LOAD_HANGS = "model that does not come into memory"
    REBOOTING = "box reboots between two questions, away for one of them"
    AWAY = "box reboots and is away for long"
    CONNECTION_CLOSED = "kept connection closed by the server between two questions"
    CONNECTION_DIES = "kept connection that dies as the next question goes out"
    OTHER_CONTEXT = "model in memory with another `num_ctx`: Ollama would load it anew"
    WAITS_ITS_TURN = "silent wait behind another program's question, shorter than `first_token_s`"


class Real(Enum):
    """What is done to a real llama.cpp server."""

    KILLED_SPEAKING = f"{KILLED} in mid-stream"
    STOPPED_SPEAKING = f"{STOPPED} in mid-stream"
    STOPPED_BEFORE = f"{STOPPED} before the question"
    KILLED_BETWEEN = f"{KILLED} between two questions"


@dataclass(frozen=True)
class Recorded:
    """A reply of a real Ollama that was recorded: the name of its file."""

    name: str


Stage = Reply | Mapping[str, Route] | Place | Story | Real | Recorded


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong at a backend, and what comes of it.

    ``sent`` says that the question had left when it happened, so that ``seen_by`` names the backend.
    """

    name: str
    kind: Kind
    stage: Stage
    ends: Ends = Ends.AT_ONCE
    told: Told = Told.NEXT
    breaker: Breaker = Breaker.COUNTS
    sent: bool = True

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"


def drip(piece: bytes) -> list[bytes | float]:
    """The same piece for as long as any test waits, twenty times a second."""
    return [piece, 0.05] * 100


def bare(*pieces: bytes | float, end: End = "complete") -> Reply:
    """All that is sent, head included."""
    return Reply(pieces, raw=True, end=end)


def body_of(*pieces: bytes | float) -> bytes:
    """Pieces as one."""
    return b"".join(piece for piece in pieces if isinstance(piece, bytes))


SILENT = Reply(status=None, end="hang")
HTML = Reply([b"<!DOCTYPE html><html><body>It works!</body></html>"], content_type="text/html")
GZIPPED = {"content-encoding": "gzip"}
PORTAL = {"location": "http://127.0.0.1:9/login"}


@dataclass(frozen=True)
class Protocol:
    """What the rows that both protocols share are made of."""

    kind: Kind
    content_type: str
    begins: Ends
    word: bytes
    sentence: bytes
    nothing: bytes
    error: bytes
    end: bytes
    path: str

    def say(self, *pieces: bytes | float, end: End = "complete") -> Reply:
        """A streamed answer."""
        return Reply(pieces, content_type=self.content_type, end=end)

    def head(self, *lines: bytes, status: bytes = b"200 OK") -> bytes:
        """The head of a reply, for :func:`bare`."""
        stated = b"content-type: " + self.content_type.encode()
        return b"\r\n".join([b"HTTP/1.1 " + status, stated, *lines, b"", b""])


OLLAMA = Protocol(
    kind="ollama",
    content_type=NDJSON,
    begins=Ends.FIRST_TOKEN,
    word=part("Nine "),
    sentence=part(f"{TRUE} "),
    nothing=part(""),
    error=error_line("an error was encountered while running the model"),
    end=done(),
    path="/api/chat",
)
OPENAI = Protocol(
    kind="openai",
    content_type=EVENTS,
    begins=Ends.BEGIN,
    word=delta("Nine "),
    sentence=delta(f"{TRUE} "),
    nothing=delta(""),
    error=event({"error": {"message": "boom"}}),
    end=delta(finish_reason="stop") + DONE,
    path="/v1/chat/completions",
)


def list_places(p: Protocol) -> list[Fault]:
    """What stands between this service and a server."""

    def at(place: Place, ends: Ends = Ends.AT_ONCE, *, sent: bool = False) -> Fault:
        return Fault(place.value, p.kind, place, ends, sent=sent)

    return [
        at(Place.NOBODY_LISTENS),
        at(Place.NO_SUCH_NAME),
        at(Place.NAME_SERVER_HANGS, Ends.CONNECT),
        at(Place.NOBODY_PICKS_UP, Ends.CONNECT),
        at(Place.NO_TLS),
        at(Place.STRANGER),
        at(Place.TLS_HANGS, Ends.CONNECT),
        # Ollama is asked what it runs first, and so the question does not leave.
        at(Place.NO_HTTP, Ends.LOOK) if p.kind == "ollama" else at(Place.NO_HTTP, p.begins, sent=True),
    ]


def list_hangs(p: Protocol) -> list[Fault]:
    """What would take for ever."""

    def hang(name: str, stage: Reply, ends: Ends, told: Told = Told.NEXT) -> Fault:
        return Fault(name, p.kind, stage, ends, told)

    word, sentence = p.word, p.sentence
    end: End = "hang"
    ready = p.head(b"transfer-encoding: chunked")
    return [
        hang("hangs before headers, or waits silently behind other questions", SILENT, p.begins),
        hang("drips headers", bare(b"HTTP/1.1 200 OK\r\n", *drip(b"x"), end=end), p.begins),
        hang("`102 Processing` without end", bare(*drip(b"HTTP/1.1 102 Wait\r\n\r\n"), end=end), p.begins),
        hang("hangs before the first token", p.say(end=end), p.begins),
        hang("drips bytes of a line that never ends", p.say(word[:8], *drip(b" "), end=end), p.begins),
        hang("drips empty tokens", p.say(*drip(p.nothing), end=end), p.begins),
        hang("drips bytes of a chunk's size", bare(ready, *drip(b"0"), end=end), p.begins),
        hang("stalls after a word", p.say(word, end=end), Ends.GAP),
        hang("stalls after a sentence", p.say(sentence, word, end=end), Ends.GAP, Told.KEPT),
        hang("stalls within a line after a sentence", p.say(sentence, word[:30], end=end), Ends.GAP, Told.KEPT),
        hang("drips words", p.say(*drip(word), end=end), Ends.TOTAL),
        hang("drips words after a sentence", p.say(sentence, *drip(word), end=end), Ends.TOTAL, Told.KEPT),
        hang("drips empty tokens after a word", p.say(word, *drip(p.nothing), end=end), Ends.TOTAL),
        hang("endless answer", p.say(*[word] * 1000, end=end), Ends.LENGTH),
        hang("endless answer after a sentence", p.say(sentence, *[word] * 1000, end=end), Ends.LENGTH, Told.KEPT),
        hang("a line of five megabytes", p.say(word[:14] + b"x" * 5_000_000, end=end), Ends.LENGTH),
        hang("headers of a megabyte", bare(b"HTTP/1.1 200 OK\r\nx: " + b"x" * 1_000_000, end=end), Ends.LENGTH),
    ]


def list_breaks(p: Protocol) -> list[Fault]:
    """What breaks off, and what ends as if nothing were missing."""

    def breaks(name: str, stage: Reply, told: Told = Told.NEXT) -> Fault:
        return Fault(name, p.kind, stage, told=told)

    word, sentence = p.word, p.sentence
    cut: End = "cut"
    lines = body_of(sentence, word)
    return [
        breaks("closes before headers", Reply(status=None, end=cut)),
        breaks("dies after a word", p.say(word, end=cut)),
        breaks("dies after a sentence", p.say(sentence, word, end=cut), Told.KEPT),
        breaks("dies within a line", p.say(word, word[:30], end=cut)),
        breaks("ends in good order without its last word's mark", p.say(word)),
        breaks("the same after a sentence", p.say(sentence, word), Told.KEPT),
        breaks("closes where the end of the connection is that of the reply", bare(p.head(), word)),
        breaks("error in the stream", p.say(word, p.error)),
        breaks("error in the stream after a sentence", p.say(sentence, p.error), Told.KEPT),
        breaks("nothing at all", p.say()),
        breaks("an answer without a word", p.say(p.end)),
        breaks("`content-length` larger than the reply", bare(p.head(b"content-length: 9999"), lines), Told.KEPT),
        breaks("`content-length` smaller than the reply", bare(p.head(b"content-length: 9"), lines)),
        breaks("a chunk of another size than it says", bare(p.head(b"transfer-encoding: chunked"), b"5\r\n" + lines)),
        breaks("a chunk's size that is no number", bare(p.head(b"transfer-encoding: chunked"), b"zz\r\n" + lines)),
        breaks("invalid UTF-8", p.say(word.replace(b"Nine", b"\xff\xfe"), p.end)),
    ]


def list_statuses(p: Protocol) -> list[Fault]:
    """What a server says instead of answering."""
    said = b'{"error":{"message":"no"}}' if p.kind == "openai" else b'{"error":"no"}'

    def status(number: int, meaning: str, breaker: Breaker = Breaker.COUNTS, **headers: str) -> Fault:
        reply = Reply([said], number, headers={name.replace("_", "-"): value for name, value in headers.items()})
        return Fault(f"{number} {meaning}", p.kind, reply, breaker=breaker)

    def page(name: str, number: int, content_type: str = "text/html") -> Fault:
        return Fault(name, p.kind, Reply(HTML.pieces, number, content_type, headers=PORTAL))

    return [
        Fault("204 (no content)", p.kind, bare(b"HTTP/1.1 204 No Content\r\n\r\n")),
        status(307, "to another place", location="http://127.0.0.1:9/api/chat"),
        status(400, "(prompt too long)"),
        status(401, "(key refused)", Breaker.FATAL),
        status(403, "(not allowed)", Breaker.FATAL),
        status(404, "(no such model)", Breaker.FATAL),
        status(410, "(model at its end of life)", Breaker.FATAL),
        status(429, "(too many questions)"),
        status(429, "with `Retry-After`", Breaker.AS_TOLD, retry_after="60"),
        status(429, "with `Retry-After: 0`", retry_after="0"),
        status(500, "(server fault)"),
        status(503, "(queue full)"),
        status(503, "with `Retry-After`", Breaker.AS_TOLD, retry_after="60"),
        page("HTML instead of an answer", 200),
        page("HTML under the right content type", 200, p.content_type),
        page("HTML under 502 (a proxy whose server is away)", 502),
        page("302 to the page of a captive portal", 302),
        page("511 of a captive portal", 511),
        Fault("101 to another protocol", p.kind, bare(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n")),
    ]


def list_oddities(p: Protocol) -> list[Fault]:
    """What is odd and harmless: the narrative is heard."""

    def odd(name: str, stage: Reply) -> Fault:
        return Fault(name, p.kind, stage, Ends.NOTHING, Told.WHOLE, Breaker.CLOSED)

    told = body_of(p.sentence, p.end)
    letters = [told[place : place + 1] for place in range(len(told))]
    length = b"content-length: " + str(len(told)).encode()
    return [
        odd("`100 Continue` that nobody asked for", bare(b"HTTP/1.1 100 Continue\r\n\r\n" + p.head(length), told)),
        odd("`103 Early Hints`", bare(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + p.head(length), told)),
        odd("one byte a chunk", p.say(*letters)),
        odd("no length, no chunks: the connection closes behind the last word", bare(p.head(), told)),
        odd("line ends as a carriage return alone", p.say(told.replace(b"\n", b"\r"))),
        odd("said to be compressed, and is not", Reply([p.sentence, p.end], 200, p.content_type, GZIPPED)),
        odd("ends twice", p.say(p.sentence, p.end, p.end)),
        odd("more words behind the end", p.say(p.sentence, p.end, p.word)),
        odd("an error behind the end", p.say(p.sentence, p.end, p.error)),
        odd("dies behind the end", p.say(p.sentence, p.end, end="cut")),
        odd("keeps the line open behind the end", p.say(p.sentence, p.end, end="hang")),
        odd("drips behind the end", p.say(p.sentence, p.end, *drip(p.nothing), end="hang")),
    ]


def list_hostile(p: Protocol) -> list[Fault]:
    """What no server of good will sends."""

    def hostile(name: str, stage: Reply, told: Told = Told.NEXT, breaker: Breaker = Breaker.COUNTS) -> Fault:
        return Fault(name, p.kind, stage, told=told, breaker=breaker)

    def hidden(name: str, letter: str) -> Fault:
        told = p.say(p.sentence.replace(b"2015", b"2015" + json.dumps(letter)[1:-1].encode()), p.end)
        return Fault(name, p.kind, told, Ends.NOTHING, Told.DROPPED, Breaker.CLOSED)

    squeezed = gzip.compress(body_of(p.sentence, p.end))
    return [
        hostile("compressed though nobody asked", Reply([squeezed], 200, p.content_type, GZIPPED)),
        hostile("nested without end", p.say(p.word[:0] + _row(p, b"[" * 100_000))),
        hostile("garbage", p.say(_row(p, bytes(range(256)) * 4))),
        hidden("a NUL among the words", "\x00"),
        hidden("an escape sequence of a terminal among the words", "\x1b"),
        hidden("letters that turn the direction of the text", "\u202e"),
        hidden("letters that are not seen", "\u200b"),
        hidden("half a letter (a lone surrogate)", "\ud800"),
    ]


def _row(p: Protocol, text: bytes) -> bytes:
    return b"data: " + text + b"\n\n" if p.kind == "openai" else text + b"\n"


def ollama(
    name: str, stage: Stage, ends: Ends = Ends.AT_ONCE, told: Told = Told.NEXT, breaker: Breaker = Breaker.COUNTS
) -> Fault:
    """Something that only Ollama's own protocol can do."""
    return Fault(name, "ollama", stage, ends, told, breaker)


def openai(
    name: str, stage: Stage, ends: Ends = Ends.AT_ONCE, told: Told = Told.NEXT, breaker: Breaker = Breaker.COUNTS
) -> Fault:
    """Something that only an OpenAI-compatible server can do."""
    return Fault(name, "openai", stage, ends, told, breaker)


def _look(name: str, looks: Mapping[str, Route], ends: Ends = Ends.AT_ONCE, breaker: Breaker = Breaker.COUNTS) -> Fault:
    """Something that goes wrong before the question leaves: Ollama is asked what it runs first."""
    return Fault(
        name, "ollama", {f"/api/{path}": route for path, route in looks.items()}, ends, Told.NEXT, breaker, False
    )


OLLAMA_ALONE = [
    _look("hangs when asked what it runs", {"ps": SILENT}, Ends.LOOK),
    _look("drips what it runs", {"ps": Reply(drip(b" "), end="hang")}, Ends.LOOK),
    _look("HTML when asked what it runs", {"ps": HTML}),
    _look("500 when asked what it runs", {"ps": whole({"error": "boom"}, 500)}),
    _look("does not have the model that is set", {"ps": NOTHING_RUNS, "show": whole({}, 404)}, breaker=Breaker.FATAL),
    ollama("error that is no text", chat(line({"error": {"code": 7}}))),
    ollama("ends after loading", Reply([line({"model": "m", "message": {"role": "assistant"}, "done": True})])),
    ollama("JSON of another kind", chat(b"[1, 2, 3]\n")),
    ollama("a number", chat(b"7\n")),
    ollama("two documents on a line", chat(part("Nine ").strip() + part("roofs."), done())),
    ollama("a byte order mark", chat(b"\xef\xbb\xbf", part("Nine "), done())),
    ollama("empty lines only", chat(b"\n\n\n")),
    ollama(
        "its words under another content type",
        Reply([part(f"{TRUE} "), done()], content_type="text/plain"),
        Ends.NOTHING,
        Told.WHOLE,
        Breaker.CLOSED,
    ),
    ollama("thoughts in a field of their own, and nothing else", chat(part(thinking="Nine?"), done())),
    ollama("thoughts without end", chat(*drip(part("<think>Nine? ")), end="hang"), Ends.FIRST_TOKEN),
    ollama(
        "thoughts as content, unmarked",
        chat(part("I think there are nine. "), done()),
        Ends.NOTHING,
        Told.DROPPED,
        Breaker.CLOSED,
    ),
]

OPENAI_ALONE = [
    openai("pings and says nothing", completion(*drip(b": ping\n\n"), end="hang"), Ends.BEGIN),
    openai("pings after a word", completion(delta("Nine "), *drip(b": ping\n\n"), end="hang"), Ends.GAP),
    openai("ends with `[DONE]` and without a finish reason", completion(delta("Nine "), DONE)),
    openai("ends as Ollama's route when its runner dies", completion(delta("Nine "), delta(""))),
    openai("error that is no object", completion(event({"error": "boom"}))),
    openai("finish reason that is an error", completion(delta("Nine "), delta(finish_reason="error"))),
    openai("finish reason that is no text", completion(delta("Nine ", finish_reason=["stop"]))),  # type: ignore[arg-type]
    openai("content that is no text", completion(delta({"a": 1}), delta(finish_reason="stop"))),  # type: ignore[arg-type]
    openai("choices that are no list", completion(event({"choices": 7}))),
    openai("events that are no objects", completion(event([1, 2]), event(7), event(None))),
    openai("a whole answer instead of a stream", Reply([b'{"choices": [{"message": {"content": "Nine."}}]}'])),
    openai("its words under another content type", Reply([delta(f"{TRUE} "), delta(finish_reason="stop")], 200, JSON)),
    openai("no JSON", completion(b"data: {oh no\n\n")),
    openai("two documents in an event", completion(delta("Nine ").strip() + delta("roofs."), DONE)),
    openai("`[DONE]` at once", completion(DONE)),
    openai("last event without an end of line", completion(delta("Nine."), delta(finish_reason="stop").strip())),
    openai(
        "a byte order mark",
        completion(b"\xef\xbb\xbf" + delta(role="assistant"), delta(f"{TRUE} "), delta(finish_reason="stop"), DONE),
        Ends.NOTHING,
        Told.WHOLE,
        Breaker.CLOSED,
    ),
    openai("thoughts in a field of their own, and nothing else", completion(delta(reasoning="Nine?"), OPENAI.end)),
    openai("thoughts without end", completion(*drip(delta("<think>Nine? ")), end="hang"), Ends.BEGIN),
    openai(
        "thoughts as content, unmarked",
        completion(delta("I think there are nine. "), OPENAI.end),
        Ends.NOTHING,
        Told.DROPPED,
        Breaker.CLOSED,
    ),
]


def _both(*faults: Sequence[Fault]) -> list[Fault]:
    return [fault for group in faults for fault in group]


SCRIPTED = [
    *[fault for p in (OLLAMA, OPENAI) for fault in list_places(p)],
    *[fault for p in (OLLAMA, OPENAI) for fault in list_hangs(p)],
    *[fault for p in (OLLAMA, OPENAI) for fault in list_breaks(p)],
    *[fault for p in (OLLAMA, OPENAI) for fault in list_statuses(p)],
    *OLLAMA_ALONE,
    *OPENAI_ALONE,
    *[fault for p in (OLLAMA, OPENAI) for fault in list_hostile(p)],
    *[fault for p in (OLLAMA, OPENAI) for fault in list_oddities(p)],
]

RECORDED = [
    ollama("runner killed in mid-stream", Recorded("chat_runner_killed")),
    ollama("server killed in mid-stream", Recorded("chat_server_killed")),
    ollama("server stopped (SIGTERM) in mid-stream", Recorded("chat_server_terminated")),
    ollama("falls silent in mid-stream", Recorded("chat_client_leaves"), Ends.GAP),
    ollama("queue full while the model loads", Recorded("chat_queue_full")),
    ollama("over-long prompt refused", Recorded("chat_too_long_refused")),
    ollama("model unknown", Recorded("chat_unknown_model"), breaker=Breaker.FATAL),
    ollama("bad option refused", Recorded("chat_bad_option")),
    ollama("a load instead of an answer", Recorded("chat_load")),
    ollama("thoughts alone, in their own field", Recorded("chat_think_stream")),
    ollama(
        "thoughts as content in spite of `think: false`",
        Recorded("chat_think_off_text_on"),
        Ends.NOTHING,
        Told.DROPPED,
        Breaker.CLOSED,
    ),
    openai("runner killed in mid-stream", Recorded("openai_runner_killed")),
    openai("thoughts alone, in their own field", Recorded("openai_thinking")),
    openai("model unknown", Recorded("openai_unknown_model"), breaker=Breaker.FATAL),
]


def _story(
    story: Story, told: Told, ends: Ends = Ends.NOTHING, breaker: Breaker = Breaker.CLOSED, *, sent: bool = True
) -> Fault:
    return Fault(story.value, "ollama", story, ends, told, breaker, sent)


STORIES = [
    _story(Story.EVICTED, Told.LATER, sent=False),
    _story(Story.OTHER_CONTEXT, Told.LATER, sent=False),
    _story(Story.LOAD_HANGS, Told.NEXT, Ends.LOAD, Breaker.COUNTS_ALONE, sent=False),
    _story(Story.REBOOTING, Told.NEXT, Ends.AT_ONCE, sent=False),
    _story(Story.AWAY, Told.NEXT, Ends.AT_ONCE, Breaker.COUNTS, sent=False),
    _story(Story.CONNECTION_CLOSED, Told.WHOLE),
    _story(Story.CONNECTION_DIES, Told.NEXT, Ends.AT_ONCE),
    _story(Story.WAITS_ITS_TURN, Told.WHOLE),
]


def _real(kind: Kind, real: Real, ends: Ends = Ends.AT_ONCE, told: Told = Told.NEXT, *, sent: bool = True) -> Fault:
    return Fault(real.value, kind, real, ends, told, sent=sent)


REAL = [
    _real("openai", Real.KILLED_SPEAKING),
    _real("openai", Real.STOPPED_SPEAKING, Ends.GAP),
    _real("openai", Real.STOPPED_BEFORE, Ends.BEGIN),
    _real("openai", Real.KILLED_BETWEEN, sent=False),
    _real("embedded", Real.KILLED_SPEAKING),
    _real("embedded", Real.STOPPED_SPEAKING, Ends.GAP),
    _real("embedded", Real.STOPPED_BEFORE, Ends.FIRST_TOKEN),
    Fault(Real.KILLED_BETWEEN.value, "embedded", Real.KILLED_BETWEEN, Ends.NOTHING, Told.LATER, Breaker.CLOSED, False),
]

FAULTS = [*SCRIPTED, *STORIES, *RECORDED, *REAL]


def list_breaking(kind: Kind) -> dict[str, Reply]:
    """Give the replies to a question over which a voice breaks, by name, save those that only ``total_s`` ends."""
    return {
        fault.name: fault.stage
        for fault in SCRIPTED
        if fault.kind == kind
        and isinstance(fault.stage, Reply)
        and fault.breaker is not Breaker.CLOSED
        and fault.ends is not Ends.TOTAL
    }


OLLAMA_FAULTS = list_breaking("ollama")
OPENAI_FAULTS = list_breaking("openai")

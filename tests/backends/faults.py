"""What can go wrong on either protocol, as replies of a scripted server."""

from tests.backends.servers import DONE, EVENTS, NDJSON, Reply, delta, event, line, part


def drip(piece: bytes) -> list[bytes | float]:
    """The same piece for as long as any test waits, twenty times a second."""
    return [piece, 0.05] * 100


SILENT = Reply(status=None, end="hang")
HTML = Reply([b"<!DOCTYPE html><html><body>It works!</body></html>"], content_type="text/html")

OLLAMA_FAULTS = {
    "hangs before headers": SILENT,
    "closes before headers": Reply(status=None, end="cut"),
    "hangs before the first word": Reply([], content_type=NDJSON, end="hang"),
    "stalls after a word": Reply([part("Nine ")], content_type=NDJSON, end="hang"),
    "drips bytes of a line that never ends": Reply([b'{"mod', *drip(b" ")], content_type=NDJSON, end="hang"),
    "dies after a word": Reply([part("Nine ")], content_type=NDJSON, end="cut"),
    "dies within a line": Reply([part("Nine "), part("roofs")[:30]], content_type=NDJSON, end="cut"),
    "ends in good order without done": Reply([part("Nine ")], content_type=NDJSON),
    "error in the stream": Reply([part("Nine "), line({"error": "runner has gone away"})], content_type=NDJSON),
    "error that is no text": Reply([line({"error": {"code": 7}})], content_type=NDJSON),
    "ends after loading": Reply([line({"model": "m", "message": {"role": "assistant"}, "done": True})]),
    "400": Reply([b'{"error":"too long"}'], 400),
    "401": Reply([b'{"error":"unauthorized"}'], 401),
    "404": Reply([b'{"error":"no such model"}'], 404),
    "410": Reply([b'{"error":"gone"}'], 410),
    "429": Reply([b'{"error":"slow down"}'], 429),
    "500": Reply([b'{"error":"boom"}'], 500),
    "503": Reply([b'{"error":"server busy"}'], 503),
    "307 to another place": Reply([], 307, headers={"location": "http://127.0.0.1:9/api/chat"}),
    "HTML": HTML,
    "HTML under an error status": Reply(HTML.pieces, 502, "text/html"),
    "JSON of another kind": Reply([b"[1, 2, 3]\n"], content_type=NDJSON),
    "a number": Reply([b"7\n"], content_type=NDJSON),
    "garbage": Reply([bytes(range(256)) * 4 + b"\n"], content_type="application/octet-stream"),
    "nested without end": Reply([b"[" * 100_000 + b"\n"], content_type=NDJSON),
    "invalid UTF-8": Reply([part("Nine \N{SNOWMAN}").replace(b"\\u2603", b"\xff\xfe")], content_type=NDJSON),
    "a line of five megabytes": Reply([b'{"message": "' + b"x" * 5_000_000], content_type=NDJSON, end="hang"),
    "empty lines only": Reply([b"\n\n\n"], content_type=NDJSON),
    "nothing at all": Reply([], content_type=NDJSON),
}

OPENAI_FAULTS = {
    "hangs before headers": SILENT,
    "closes before headers": Reply(status=None, end="cut"),
    "hangs before the first word": Reply([], content_type=EVENTS, end="hang"),
    "pings and says nothing": Reply([*drip(b": ping\n\n")], content_type=EVENTS, end="hang"),
    "stalls after a word": Reply([delta("Two ")], content_type=EVENTS, end="hang"),
    "dies after a word": Reply([delta("Two ")], content_type=EVENTS, end="cut"),
    "ends in good order without a finish reason": Reply([delta("Two ")], content_type=EVENTS),
    "ends with [DONE] and without a finish reason": Reply([delta("Two "), DONE], content_type=EVENTS),
    "ends as Ollama's route when its runner dies": Reply([delta("Two "), delta("")], content_type=EVENTS),
    "error in the stream": Reply([delta("Two "), event({"error": {"message": "boom"}})], content_type=EVENTS),
    "error that is no object": Reply([event({"error": "boom"})], content_type=EVENTS),
    "finish reason that is an error": Reply([delta("Two "), delta(finish_reason="error")], content_type=EVENTS),
    "finish reason that is no text": Reply([delta("Two ", finish_reason=["stop"])], content_type=EVENTS),  # type: ignore[arg-type]
    "content that is no text": Reply([delta({"a": 1}), delta(finish_reason="stop")], content_type=EVENTS),  # type: ignore[arg-type]
    "choices that are no list": Reply([event({"choices": 7})], content_type=EVENTS),
    "events that are no objects": Reply([event([1, 2]), event(7), event(None)], content_type=EVENTS),
    "400": Reply([b'{"error":{"message":"too long"}}'], 400),
    "401": Reply([b'{"error":{"message":"no"}}'], 401),
    "403": Reply([b'{"error":{"message":"no"}}'], 403),
    "404": Reply([b'{"error":{"message":"no such model"}}'], 404),
    "410": Reply([b'{"error":{"message":"end of life"}}'], 410),
    "429": Reply([b'{"error":{"message":"slow down"}}'], 429),
    "500": Reply([b'{"error":{"message":"boom"}}'], 500),
    "503": Reply([b'{"error":{"message":"busy"}}'], 503),
    "307 to another place": Reply([], 307, headers={"location": "http://127.0.0.1:9/v1/chat/completions"}),
    "HTML": HTML,
    "HTML under an error status": Reply(HTML.pieces, 502, "text/html"),
    "HTML as a stream of events": Reply(HTML.pieces, content_type=EVENTS),
    "a whole answer instead of a stream": Reply([b'{"choices": [{"message": {"content": "Two."}}]}']),
    "garbage": Reply([b"data: " + bytes(range(32, 256)) + b"\n\n"], content_type=EVENTS),
    "no JSON": Reply([b"data: {oh no\n\n"], content_type=EVENTS),
    "nested without end": Reply([b"data: " + b"[" * 100_000 + b"\n\n"], content_type=EVENTS),
    "a line of five megabytes": Reply([b"data: " + b"x" * 5_000_000], content_type=EVENTS, end="hang"),
    "[DONE] at once": Reply([DONE], content_type=EVENTS),
    "nothing at all": Reply([], content_type=EVENTS),
}

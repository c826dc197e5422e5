"""A question to ``/ask``: to the first byte of its first event and to the end of its answer event, no model asked."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from time import perf_counter

from scripts.bench.bench import Bench
from scripts.bench.figures import show_times
from scripts.bench.places import Point
from scripts.bench.service import Service

FIRST = 20
QUESTIONS = (
    "how many solar permits in 2015?",
    "what are the 5 nearest pool permits?",
    "top 5 permit types by value",
    "permits per year since 2013",
    "compare solar permits in 2014 and 2015",
)
HEADERS = {"Content-Type": "application/json", "Accept": "text/event-stream"}


def measure(bench: Bench) -> None:
    """Ask one question after another, each near another point, and print both times."""
    points = bench.places.draw_points(bench.effort.requests + FIRST)
    asked = [time_question(bench.service, number, points) for number in range(len(points))][FIRST:]
    events, answers = zip(*asked, strict=True)
    show_times("ask, five kinds of question", {"first event": events, "answer": answers})


def time_question(service: Service, number: int, points: Sequence[Point]) -> tuple[float, float]:
    """Give the milliseconds to the first event and to the answer. Raises :class:`OSError` for no good reply."""
    question, point = QUESTIONS[number % len(QUESTIONS)], points[number]
    body = {"question": question, "lat": point.lat, "lng": point.lng, "narrate": False}
    began = perf_counter()
    service.client.request("POST", "/ask", json.dumps(body), HEADERS)
    reply = service.client.getresponse()
    if reply.status != HTTPStatus.OK:
        raise OSError(f"the service answered {reply.status}")
    line = reply.readline()
    first_s = perf_counter() - began
    while line and line != b"event: answer\n":
        line = reply.readline()
    answer_s = perf_counter() - began
    reply.read()
    return first_s * 1000, answer_s * 1000

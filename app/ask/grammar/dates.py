"""When: days, months, quarters, seasons, years and what is said around them. All bounds are inclusive.

A single expression ("March 2014", "last year") is folded into a period first; what stands around periods ("since",
"between ... and") is read afterwards. "Last year" is the calendar year before, "the last year" the twelve months up to
today, "the last 90 days" as many calendar days with today among them. A month or season without a year is the newest
that has begun.
"""

import re
from bisect import bisect_left
from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from operator import itemgetter
from typing import Literal

from app.ask.grammar.lexicon import (
    COLUMNS,
    DATED_ELSEWHERE,
    DECADES,
    DOUBTFUL,
    EVENTS,
    MONTHS,
    ORDINALS,
    SEASONS,
    WEEKDAYS,
)
from app.ask.grammar.numbers import COUNT, parse_count
from app.ask.grammar.text import Found, Text, rule

Column = Literal["issued", "applied"]

EARLIEST = date(1800, 1, 1)
"""No filter takes an earlier day."""


@dataclass(frozen=True)
class Period:
    """Days from ``first`` to ``last``."""

    first: date
    last: date


@dataclass(frozen=True)
class Yearless:
    """Some months, or one day, of a year that is not said."""

    month: int
    months: int = 1
    day: int | None = None

    def within(self, year: int) -> Period:
        """Give the period that ends in ``year``."""
        if self.day is not None:
            return _day(date(year, self.month, self.day))
        return _months(year if self.month + self.months <= 13 else year - 1, self.month, self.months)

    def newest(self, today: date) -> Period:
        """Give the newest such period that has begun."""
        return self._newest(today.year + 1, lambda period: period.first <= today)

    def before(self, other: Period) -> Period:
        """Give the last such period that begins before ``other`` does."""
        return self._newest(other.last.year, lambda period: period.first < other.first)

    def _newest(self, year: int, is_wanted: Callable[[Period], bool]) -> Period:
        return next(filter(is_wanted, (self.within(year - back) for back in range(4))))


@dataclass(frozen=True)
class Relative:
    """Days that are told by others: the same days ``count`` units before, or a whole unit before."""

    is_same: bool
    unit: str
    count: int
    has_unit: bool


@dataclass(frozen=True)
class DateMention:
    """Days that a question names; an open end is None.

    ``halves`` are the two ends of a range, for those who compare them; ``at`` is the token it begins at.
    """

    first: date | None
    last: date | None
    at: int
    end: int
    column: Column = "issued"
    halves: tuple[Period, Period] | None = None


def _day(day: date) -> Period:
    return Period(day, day)


def _months(year: int, month: int, count: int = 1) -> Period:
    """Give whole months, which may run into the next year."""
    end_year, end_month = divmod(year * 12 + month - 1 + count - 1, 12)
    return Period(date(year, month, 1), date(end_year, end_month + 1, monthrange(end_year, end_month + 1)[1]))


def _years(year: int, count: int = 1) -> Period:
    return Period(date(year, 1, 1), date(year + count - 1, 12, 31))


def _months_back(day: date, count: int) -> date:
    """Give the same day some months earlier, or the last one of a month that is too short for it."""
    year, month = divmod(day.year * 12 + day.month - 1 - count, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


Parser = Callable[[re.Match[str], date], Period | Yearless | None]

_YEAR = r"(?P<year>(?:19|20)[0-9]{2})"
_MONTH = rf"(?P<month>{'|'.join(sorted(MONTHS, key=len, reverse=True))})"
_DAY = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?"
_SEASON = rf"(?P<season>{'|'.join(SEASONS)})"
_QUARTER = rf"(?:q (?P<q>[1-4])|(?P<ordinal>{'|'.join(ORDINALS)}) (?P<part>quarter|half))"
_UNIT = r"(?P<unit>day|week|fortnight|month|quarter|year|decade)s?"
_TO = r"(?:to|through|thru|until|till|up to|-)"
_OF = r"(?: of| in| ,)?(?: the year)?"
_BEHIND_CUE = "(?:" + "|".join(f"(?<=^{cue} )|(?<= {cue} )" for cue in DOUBTFUL["cues"]) + ")"
_SURE_MONTHS = "|".join(sorted(set(MONTHS) - set(DOUBTFUL["months"]), key=len, reverse=True))
_SURE_SEASONS = "|".join(sorted(set(SEASONS) - set(DOUBTFUL["seasons"])))
# "February 30" is not February.
_NO_DAY = r"(?! [0-9]{1,2}(?:st|nd|rd|th)?(?![^ ]))"
# Four figures before one of these are a measure, not a year.
_NO_MEASURE = r"(?! (?:sq|sqft|square|feet|ft|kw|kwh|amps?|volts?|units?|%|percent|dollars?|times|gallons?)(?![^ ]))"
# A permit's number begins like a year ("2014-012345"), and so does "2013-10", which may be a month or a range.
_NO_NUMBER = r"(?! - (?!(?:19|20)[0-9]{2}(?![^ ]))[0-9])"
_BOUND = re.compile(
    r"(?<![^ ])(?:(?:more|less|fewer|greater) than|over|under|above|below|least|exactly|roughly|nearly|top|first"
    r"|there (?:were|are)|we had|[$><#]|[0-9]{1,2} /) $"
)


def _part_of_year(match: re.Match[str]) -> Yearless:
    """Read a month, season, quarter or half."""
    groups = match.groupdict()
    if groups.get("month"):
        day = groups.get("day") or ORDINALS.get(groups.get("nth") or "")
        return Yearless(MONTHS[match["month"]], day=int(day) if day else None)
    if groups.get("season"):
        return Yearless(SEASONS[match["season"]], 3)
    if groups.get("q"):
        return Yearless(int(match["q"]) * 3 - 2, 3)
    months = 3 if match["part"] == "quarter" else 6
    return Yearless((ORDINALS[match["ordinal"]] - 1) * months + 1, months)


def _of_year(match: re.Match[str], today: date) -> Period | None:
    part = _part_of_year(match)
    return part.within(int(match["year"])) if part.month <= 12 else None


def _yearless(match: re.Match[str], today: date) -> Yearless | None:
    part = _part_of_year(match)
    if part.month > 12 or (part.day is not None and not 1 <= part.day <= monthrange(2023, part.month)[1]):
        return None
    return part


def _last_named(match: re.Match[str], today: date) -> Period:
    """ "Last summer" is the newest that is over, "this summer" the one of this year."""
    part = _part_of_year(match)
    if match["which"] == "this":
        return part.within(today.year)
    newest = part.newest(today)
    return newest if newest.last < today else part.before(newest)


def _numeric_day(match: re.Match[str], today: date) -> Period:
    year = int(match["year"])
    if year < 100:
        year += 2000 if 2000 + year <= today.year else 1900
    return _day(date(year, int(match["month"]), int(match["day"])))


def _numeric_month(match: re.Match[str], today: date) -> Period:
    return _months(int(match["year"]), int(match["month"]))


def _short_range(match: re.Match[str], today: date) -> Period | None:
    """Read "2013-15"; up to 12 it might be a month as well, and is left over."""
    first, last = int(match["year"]), int(match["short"])
    return _years(first, last - first % 100 + 1) if last > max(12, first % 100) else None


def _decade(match: re.Match[str], today: date) -> Period:
    if match["named"]:
        return _years(DECADES[match["named"]], 10)
    figure = int(match["figure"])
    century = 0 if figure > 99 else 1900 if figure >= 30 else 2000
    return _years(century + figure, 10)


def _one_year(match: re.Match[str], today: date) -> Period | None:
    """Read four figures as a year unless a bound stands before them ("more than 2000 permits")."""
    if _BOUND.search(match.string, max(0, match.start() - 20), match.start()):
        return None
    return _years(int(match["year"]))


def _named_day(match: re.Match[str], today: date) -> Period:
    return _day(today if match["day"] == "today" else today - timedelta(days=1))


def _weekday(match: re.Match[str], today: date) -> Period:
    """Read the name of a day as the last one before today."""
    back = (today.weekday() - WEEKDAYS.index(match["weekday"]) - 1) % 7 + 1
    return _day(today - timedelta(days=back))


def _begun(match: re.Match[str], today: date) -> Period:
    """Read "the year" behind "since the beginning of" as the one that runs."""
    return _unit_around(today, match["unit"])


def _calendar_unit(match: re.Match[str], today: date) -> Period:
    """Read "this month" and "last year" as calendar units."""
    back = 0 if match["which"] in {"this", "current"} else 1
    return _unit_around(_back(today, match["unit"], back), match["unit"])


_DAYS_IN = {"day": 1, "week": 7, "fortnight": 14}


def _unit_around(day: date, unit: str) -> Period:
    if unit == "day":
        return _day(day)
    if unit in {"week", "fortnight"}:
        monday = day - timedelta(days=day.weekday())
        return Period(monday, monday + timedelta(days=_DAYS_IN[unit] - 1))
    if unit in {"month", "quarter"}:
        count = 1 if unit == "month" else 3
        return _months(day.year, (day.month - 1) // count * count + 1, count)
    return _years(day.year) if unit == "year" else _years(day.year // 10 * 10, 10)


def _back(day: date, unit: str, count: int) -> date:
    if unit in _DAYS_IN:
        return day - timedelta(days=count * _DAYS_IN[unit])
    return _months_back(day, count * {"month": 1, "quarter": 3, "year": 12, "decade": 120}[unit])


def _rolling(match: re.Match[str], today: date) -> Period:
    """Read "the past year" and "the last 90 days" as the time up to today."""
    count = parse_count(match["count"]) if match["count"] else 1
    if match["unit"] == "day":
        return Period(_back(today, "day", max(count, 1) - 1), today)
    return Period(_back(today, match["unit"], count), today)


def _full_years(match: re.Match[str], today: date) -> Period:
    """Read "the past three calendar years" as those before this one."""
    count = parse_count(match["count"] or match["too"])
    return _years(today.year - count, count)


def _ago(match: re.Match[str], today: date) -> Period:
    count = 1 if match["count"] in {"a", "an"} else parse_count(match["count"])
    return _unit_around(_back(today, match["unit"], count), match["unit"])


def _this_year_so_far(match: re.Match[str], today: date) -> Period:
    return Period(date(today.year, 1, 1), today)


_BEHIND_START = "|".join(f"(?<={cue} of )" for cue in ("beginning", "start", "first day", "first"))
_FEW_YEARS, _FEW_YEARS_TOO = (
    rf"(?:(?:(?:in|over|during|for) )?the )?(?:last|past|previous) (?P<{name}>{COUNT})" for name in ("count", "too")
)
_IN_THE = r"(?:(?:in|over|during|within|for|throughout) )?the "
_EXPRESSIONS: tuple[tuple[re.Pattern[str], Parser], ...] = (
    (rule(rf"{_YEAR} - (?P<month>[0-9]{{1,2}}) - {_DAY}"), _numeric_day),
    (rule(r"(?P<month>[0-9]{1,2}) / (?P<day>[0-9]{1,2}) / (?P<year>(?:19|20)[0-9]{2}|[0-9]{2})"), _numeric_day),
    (rule(rf"(?P<month>[0-9]{{1,2}}) / {_YEAR}"), _numeric_month),
    (rule(rf"{_YEAR} - (?P<month>0[1-9]){_NO_NUMBER}"), _numeric_month),
    (rule(rf"{_YEAR} - (?P<short>[0-9]{{2}}){_NO_NUMBER}"), _short_range),
    (rule(rf"{_MONTH} {_DAY}{_OF} {_YEAR}"), _of_year),
    (rule(rf"(?:the )?{_DAY}(?: of)? {_MONTH}{_OF} {_YEAR}"), _of_year),
    (rule(rf"(?:the )?(?:{_MONTH}|{_SEASON}|{_QUARTER}){_OF} {_YEAR}"), _of_year),
    (rule(rf"{_YEAR}(?: ,)? {_QUARTER}"), _of_year),
    (rule(r"(?:the )?(?:(?P<figure>(?:19|20)?[0-9]0)s|(?P<named>" + "|".join(DECADES) + "))"), _decade),
    (rule(r"ytd|year to date|so far this year|this year so far|this year to date"), _this_year_so_far),
    (rule(rf"{_FEW_YEARS} (?:full )?calendar years|{_FEW_YEARS_TOO} (?:full|whole|complete) years"), _full_years),
    (rule(rf"(?:{_IN_THE}(?:last|past)|past) (?:(?P<count>{COUNT}) (?:of )?)?{_UNIT}"), _rolling),
    (rule(rf"(?:{_IN_THE})?(?:last|previous) (?P<count>{COUNT}) (?:of )?{_UNIT}"), _rolling),
    (rule(rf"(?P<count>a|an|{COUNT}) {_UNIT} ago"), _ago),
    (rule(rf"(?:the )?(?P<which>this|current|last|previous|prior) {_UNIT}"), _calendar_unit),
    (rule(rf"(?:{_BEHIND_START})(?:the |this )?{_UNIT}"), _begun),
    (rule(r"(?P<day>today|yesterday)"), _named_day),
    (rule(rf"(?:last |this past |past )?(?P<weekday>{'|'.join(WEEKDAYS)})"), _weekday),
    (rule(rf"(?P<which>this(?! may )|last) (?:{_MONTH}|{_SEASON})"), _last_named),
    (rule(rf"(?:the )?(?P<nth>{'|'.join(ORDINALS)}) of {_MONTH}{_OF} {_YEAR}"), _of_year),
    (rule(rf"(?:the )?(?P<nth>{'|'.join(ORDINALS)}) of {_MONTH}"), _yearless),
    (rule(rf"{_MONTH} {_DAY}"), _yearless),
    (rule(rf"(?:the )?{_DAY} of {_MONTH}"), _yearless),
    (rule(rf"(?:the )?{_QUARTER}"), _yearless),
    (rule(rf"(?:the )?(?:(?P<month>{_SURE_MONTHS})|(?P<season>{_SURE_SEASONS})){_NO_DAY}"), _yearless),
    (rule(rf"{_MONTH}(?= {_TO} (?:§date|{'|'.join(MONTHS)})(?![^ ]))"), _yearless),
    (re.compile(rf"{_BEHIND_CUE}(?:{_MONTH}|{_SEASON}){_NO_DAY}(?![^ ])"), _yearless),
    (rule(rf"(?:the )?(?:calendar )?(?:year )?{_YEAR}s?{_NO_MEASURE}{_NO_NUMBER}"), _one_year),
)  # fmt: skip

_P, _R = "§date", "§relative"
_RELATIVE_UNIT = "(?:year|quarter|month)"
_RELATIVE_WORDS = (
    rf"(?:the )?{_RELATIVE_UNIT} (?:before|prior|earlier|previous|preceding|after|later|following)(?: that| it)?"
    rf"|(?:the )?(?:previous|prior|preceding|following) {_RELATIVE_UNIT}|an? {_RELATIVE_UNIT} (?:before|earlier|later)"
)
_RELATIVE = rule(
    r"(?P<same>(?:the )?same (?:period|time|time period|time frame|timeframe|stretch|span|window|months?|quarter|days"
    r"|dates|season))"
    rf"(?: (?:of|in|from|during|for))?(?: (?P<which>last year|{_RELATIVE_WORDS}))?|(?P<alone>{_RELATIVE_WORDS})"
)
_NOW = r"(?:to|until|till|through) (?:now|date|the present|present)"
_START = r"(?:the )?(?:(?:start|beginning) of )?"
_END = r"(?:the )?(?:end of )?"
_LINKS = "in|on|during|since|before|after|between|from|until|the|within"
_EVENT = rule(rf"(?:the )?(?P<name>{'|'.join(sorted(EVENTS, key=len, reverse=True))})")
_WEEK_OF = rule(rf"(?:the )?week (?:of|starting|beginning|from)(?: on)? {_P}")
_AS_OF_NOW = rule(r"as of (?:today|now|yesterday)")
_BY = rule(rf"(?:by|as of|around|circa|each|every) {_P}")
_ELSEWHERE = rule(rf"(?:{'|'.join(sorted(DATED_ELSEWHERE))})(?: (?:{_LINKS})){{0,3}} {_P}")
_RANGE = rule(
    rf"between {_P} and {_P}|(?:from|since|between|starting(?: in)?) {_P} {_TO} {_P}|{_P} {_TO} {_P}",
)
_SINCE = rule(
    rf"(?:since|starting(?: in| from| with)?|beginning(?: in| with)?|on or after|from and including) {_START}{_P}"
    rf"(?: onwards?| {_NOW})?"
    rf"|since(?: (?!,|§)[a-z]+){{1,5}} {_P}"
    rf"|(?:from|in) {_START}{_P} (?:on(?= ,|$)|onwards?|forward|{_NOW})"
    rf"|{_P} (?:or|and) (?:later|after|newer|onwards?|since)(?! {_P})|{_P} {_NOW}|{_P} (?:onwards?|forward)(?![^ ])"
)
_AFTER = rule(rf"(?:after|later than|following|past) {_END}{_P}")
_BEFORE = rule(rf"(?:before|prior to|earlier than|ahead of) {_START}{_P}")
_UNTIL = rule(
    rf"(?:(?:up )?(?:until|till)|through|thru|up to and including|up to|no later than|not later than|on or before"
    rf"|by the end of) {_END}{_P}"
    rf"|{_P} (?:or|and) (?:earlier|before|older)(?! {_P})"
)
_PLAIN = rule(rf"(?:(?:in|during|within|for|over|throughout|on|of|from) (?:the )?)?{_P}")
_ENDS: tuple[tuple[re.Pattern[str], Literal["since", "after", "before", "until"]], ...] = (
    (_UNTIL, "until"),
    (_SINCE, "since"),
    (_AFTER, "after"),
    (_BEFORE, "before"),
)


def take_dates(text: Text, today: date, *, before: Period | None = None) -> list[DateMention]:
    """Take every date of the question, in order, each with the column it is about.

    ``before`` is what the question before was about: "the year before" is the one before that.
    """
    _fold_events(text)
    _fold_relatives(text)
    text.take(*text.find_all(_AS_OF_NOW))
    for pattern, parse in _EXPRESSIONS:
        text.fold(pattern, _P, _guarded(parse, today))
    _resolve_relatives(text, today, before)
    _fold_weeks(text)
    text.set_aside(*text.find_all(_BY))
    _set_aside_verbs(text)
    mentions = [*_take_ranges(text, today), *_take_ends(text, today), *_take_plain(text, today)]
    cues = _find_columns(text)
    mentions = [
        replace(mention, column=_choose_column(cues, mention.at)) for mention in mentions if _is_possible(mention)
    ]
    return sorted(mentions, key=lambda mention: mention.at)


def _fold_weeks(text: Text) -> None:
    """Let "the week of March 14" stand for the whole week around that day."""
    for found in text.find_all(_WEEK_OF):
        day = _periods(text, found)[0]
        if isinstance(day, Period) and day.first == day.last:
            text.stand_for(found.first, _P, _unit_around(day.first, "week"))
            for index in range(found.first + 1, found.end):
                text.fold_into(found.first, index)


def _fold_relatives(text: Text) -> None:
    """Let "the same period last year" and "the year before" stand as one symbol until the other dates are known."""
    text.fold(_RELATIVE, _R, _read_relative)


def _read_relative(match: re.Match[str]) -> Relative:
    word = match["which"] or match["alone"] or ""
    unit = "quarter" if "quarter" in word else "month" if "month" in word else "year"
    is_later = any(later in word.split(" ") for later in ("following", "after", "later", "next"))
    return Relative(is_same=match["same"] is not None, unit=unit, count=-1 if is_later else 1, has_unit=bool(word))


def _resolve_relatives(text: Text, today: date, before: Period | None) -> None:
    """Give each its days: those of the date beside it, moved; without one, of ``before`` or else of the unit today."""
    for index, token in enumerate(text.tokens):
        relative = token.value
        if not isinstance(relative, Relative) or token.is_folded:
            continue
        behind = next((place for place in range(index + 1, len(text.tokens)) if not text.tokens[place].is_folded), None)
        year = text.tokens[behind].value if behind is not None and relative.is_same else None
        base = _find_base(text, index, today) or before
        if base is None and relative.is_same:
            continue
        if behind is not None and base is not None and isinstance(year, Period) and year == _years(year.first.year):
            relative = replace(relative, count=base.first.year - year.first.year, has_unit=True)
            text.fold_into(index, behind)
        text.stand_for(index, _P, _move(base or _unit_around(today, relative.unit), relative, is_base=base is not None))


def _find_base(text: Text, index: int, today: date) -> Period | None:
    """Give the date nearest before a token, or else behind it."""
    row = [*reversed(text.tokens[:index]), *text.tokens[index + 1 :]]
    values = (one.value for one in row if not one.is_folded and isinstance(one.value, Period | Yearless))
    return next((_resolve(value, today) for value in values), None)


def _move(period: Period, relative: Relative, *, is_base: bool) -> Period:
    months = relative.count * {"month": 1, "quarter": 3, "year": 12}[relative.unit]
    if relative.is_same and not relative.has_unit:
        months = 12
    first = _months_back(period.first, months)
    is_whole = period.last == _months(period.last.year, period.last.month).last
    last = _months_back(period.last, months)
    if not relative.is_same and not is_base:
        return _unit_around(first, relative.unit)
    return Period(first, _months(last.year, last.month).last if is_whole else last)


def _guarded(parse: Parser, today: date) -> Callable[[re.Match[str]], Period | Yearless | None]:
    """Let a date that no calendar has ("February 30") stand for nothing."""

    def parse_or_none(match: re.Match[str]) -> Period | Yearless | None:
        try:
            return parse(match, today)
        except (ValueError, OverflowError):
            return None

    return parse_or_none


def _fold_events(text: Text) -> None:
    if _EVENT.search(text.line):
        text.fold(_EVENT, _P, lambda match: Period(EVENTS[match["name"]].first, EVENTS[match["name"]].last))


def _set_aside_verbs(text: Text) -> None:
    """Leave "completed" over where a date follows: that day is not among the filters."""
    verbs = [Found(found.match, found.first, found.first + 1) for found in text.find_all(_ELSEWHERE)]
    text.set_aside(*verbs)


def _take_ranges(text: Text, today: date) -> Iterator[DateMention]:
    found = text.find_all(_RANGE)
    for span in found:
        start, end = _periods(text, span)
        first, last = _resolve_pair(start, end, today)
        low, high = sorted((first, last), key=lambda period: period.first)
        yield DateMention(low.first, high.last, span.first, span.end, halves=(first, last))
    text.take(*found)


def _take_ends(text: Text, today: date) -> Iterator[DateMention]:
    for pattern, end in _ENDS:
        found = text.find_all(pattern)
        for span in found:
            period = _resolve(_periods(text, span)[0], today)
            first = {"since": period.first, "after": period.last + timedelta(days=1)}.get(end)
            last = {"until": period.last, "before": period.first - timedelta(days=1)}.get(end)
            yield DateMention(first, last, span.first, span.end)
        text.take(*found)


def _take_plain(text: Text, today: date) -> Iterator[DateMention]:
    found = text.find_all(_PLAIN)
    for span in found:
        period = _resolve(_periods(text, span)[0], today)
        yield DateMention(period.first, period.last, span.first, span.end)
    text.take(*found)


def _periods(text: Text, span: Found) -> list[Period | Yearless]:
    return [value for value in text.values(span) if isinstance(value, Period | Yearless)]


def _resolve(part: Period | Yearless, today: date) -> Period:
    return part if isinstance(part, Period) else part.newest(today)


def _resolve_pair(first: Period | Yearless, last: Period | Yearless, today: date) -> tuple[Period, Period]:
    """Give both ends of a range a year: one that is said holds for the other too ("March to June 2015")."""
    if isinstance(first, Period):
        if isinstance(last, Yearless):
            same = last.within(first.last.year)
            last = same if same.last >= first.first else last.within(first.last.year + 1)
        return first, last
    end = _resolve(last, today)
    same = first.within(end.last.year)
    return (same if same.first <= end.first else first.within(end.last.year - 1)), end


def _find_columns(text: Text) -> list[tuple[int, Column]]:
    """Find the words that say which day is meant, and where they stand."""
    names: tuple[Column, ...] = ("applied", "issued")
    columns = {word: name for name in names for word in COLUMNS[name]}
    return [(index, columns[token.word]) for index, token in enumerate(text.tokens) if token.word in columns]


def _choose_column(cues: list[tuple[int, Column]], at: int) -> Column:
    """Take the nearest such word before a date, or else the nearest behind it."""
    behind = bisect_left(cues, at, key=itemgetter(0))
    return cues[max(0, behind - 1)][1] if cues else "issued"


def _is_possible(mention: DateMention) -> bool:
    return all(day is None or day >= EARLIEST for day in (mention.first, mention.last))

"""One project of the sample after another: a job at a site, told in words, and the permits that its trades need."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from scripts.sample.courses import Course, Plan, draw_plan, settle, stamp, year_of
from scripts.sample.dice import Dice, exponential
from scripts.sample.dirt import Row, name_person, report_point
from scripts.sample.places import NEIGHBOURHOODS
from scripts.sample.streets import City, Site
from scripts.sample.words import (
    BUSINESSES,
    DWELLINGS,
    FIRM_FIRST,
    FIRM_LAST,
    FIRM_SECOND,
    PREFIXES,
    ROOMS,
    SHOPS,
    SIDES,
    SUFFIXES,
    TRADES,
    Kind,
)

ORIGIN = "synthetic"

# The portal's own field names, but for the first, which says what this is, and the last, which its geocoder would say.
HEADER = tuple(
    """
data_origin permittype permit_type_desc permit_number permit_class_mapped permit_class work_class permit_location
description tcad_id legal_description applieddate issue_date status_current statusdate expiresdate completed_date
total_existing_bldg_sqft remodel_repair_sqft total_new_add_sqft total_valuation_remodel total_job_valuation
number_of_floors housing_units original_address1 original_city original_state original_zip council_district
jurisdiction link project_id masterpermitnum latitude longitude contractor_trade contractor_company_name
contractor_full_name contractor_phone applicant_full_name applicant_phone location_accuracy
""".split()
)

BLANK = dict.fromkeys(HEADER, "") | {"data_origin": ORIGIN}

INFLATION = 0.034  # of values, a year; the values in KINDS are of 2020
PEOPLE = 10_000
FIRMS = len(FIRM_FIRST) * len(FIRM_SECOND)
FIRM_STRIDE = 77  # shares no divisor with 120

APARTMENT_SHARE = 0.3  # of new apartment buildings, those in one of the complexes
COMPLEX_SHARE = 0.035  # of small work, that in a flat of one of the complexes
FIRST_PROJECT_ID = 90_000_000


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work; ``size`` is in the unit of its kind, ``module_w`` is the power of one solar module."""

    kind: Kind
    year: int
    business: bool
    flat: bool
    size: float
    modules: int
    module_w: int
    stories: int
    units: int

    @property
    def batteries(self) -> int:
        """How many units of 13.5 kWh are hung on the wall."""
        return max(1, int((self.size if self.kind.name == "battery" else 2 * self.size) / 13.5 + 0.5))


class Register:
    """Draws projects; its memory is the city, the complexes and the next numbers."""

    def __init__(self, dice: Dice, *, complexes: int) -> None:
        self.dice = dice
        self.city = City(dice)
        self.complexes = [self._find_complex(turn) for turn in range(complexes)]
        self.numbers: dict[int, int] = {}
        self.project_id = FIRST_PROJECT_ID

    def _find_complex(self, turn: int) -> Site:
        """Give a site that hundreds of permits share, each turn another one."""
        streets = self.city.local[NEIGHBOURHOODS[(turn * 5 + 16) % len(NEIGHBOURHOODS)].name]
        street = streets[turn * 3 % len(streets)]
        return self.city.find_site(street, street.first + 20)

    def draw_project(self, kind: Kind, applied: int) -> Iterator[Row]:
        """Yield the permits of one project: its trades share number, address, point and words."""
        dice = self.dice
        job = draw_job(dice, kind, year_of(applied))
        site = dice.pick(self.complexes) if job.flat else self.city.draw_site(dice, where=draw_where(job))
        plan = draw_plan(dice, kind, applied)
        shared = BLANK | tell_job(job, describe(dice, job)) | tell_site(site, report_point(dice, site))
        for building in range(1 + dice.below(5) if kind.name == "apartments" else 1):
            shared["original_address1"] = shared["permit_location"] = site.address + draw_unit(dice, job, building)
            yield from self._draw_permits(shared, job, plan)

    def _draw_permits(self, shared: Row, job: Job, plan: Plan) -> Iterator[Row]:
        """Yield the permits of one building, the main one first."""
        number, master = self._take_number(job.year), ""
        shared["applicant_full_name"], shared["applicant_phone"] = name_person(self.dice)
        for trade, share in job.kind.trades.items():
            if master and not self.dice.chance(share):
                continue
            row = shared | tell_trade(trade, number) | tell_firm(self.dice, trade)
            row |= tell_course(plan.applied, settle(self.dice, plan, main=not master))
            if not master:
                row |= tell_measures(self.dice, job)
            self.project_id += 1 + self.dice.below(3)
            row["project_id"], row["masterpermitnum"] = str(self.project_id), master
            row["link"] = f"https://example.invalid/permit/{self.project_id}" if self.dice.chance(0.97) else ""
            master = master or row["project_id"]
            yield row

    def _take_number(self, year: int) -> str:
        """Give the next number of a year, with gaps as where other folders are counted along."""
        self.numbers[year] = self.numbers.get(year, 0) + 1 + self.dice.below(3)
        return f"{year}-{self.numbers[year]:06d}"


def draw_job(dice: Dice, kind: Kind, year: int) -> Job:
    """Draw how large a job is and for whom."""
    business = dice.chance(kind.business)
    flat = dice.chance(APARTMENT_SHARE if kind.name == "apartments" else COMPLEX_SHARE if kind.service else 0.0)
    size = dice.around(*kind.size) if kind.size else 0.0
    module_w = 240 + 5 * int((year - 2012) * 2.5) + 5 * dice.below(7)
    modules = 0
    if "solar" in kind.name:
        modules = max(6, int(size * (8.0 if business else 1.0) * 1000 / module_w))
        size = modules * module_w / 1000
    stories = 1 + (dice.roll() < 0.55) + (dice.roll() < 0.08)
    units = {"new home": 1, "ADU": 1, "duplex": 2}.get(kind.name, 0)
    if kind.name == "apartments":
        stories = 2 + dice.below(5)
        units = max(6, int(size / 1050))
    return Job(kind, year, business, flat, size, modules, module_w, stories, units)


def draw_where(job: Job) -> str:
    """Say which places a job may fall on."""
    return "commerce" if job.business else job.kind.where


def draw_unit(dice: Dice, job: Job, building: int) -> str:
    """Draw what follows the street in an address."""
    if job.kind.name == "apartments":
        return f" BLDG {building + 1}"
    if job.flat:
        return f" BLDG {1 + dice.below(14)} UNIT {100 * (1 + dice.below(3)) + 1 + dice.below(8)}"
    if job.kind.name == "ADU":
        return " UNIT B" if dice.chance(0.4) else ""
    if job.business and dice.chance(0.28):
        return f" {dice.pick(('UNIT', 'STE'))} {100 * (1 + dice.below(9)) + 5 * dice.below(10)}"
    return f" UNIT {dice.pick('AB12')}" if dice.chance(0.03) else ""


class Filling(dict[str, str]):
    """Fills in the words in braces of one wording, each when it is met."""

    def __init__(self, dice: Dice, job: Job) -> None:
        super().__init__()
        self.dice = dice
        self.job = job

    def __missing__(self, word: str) -> str:
        return FILLINGS[word](self.dice, self.job)


def describe(dice: Dice, job: Job) -> str:
    """Tell a job as an applicant would."""
    text = dice.pick(job.kind.wordings).format_map(Filling(dice, job))
    if text[1].islower() and dice.chance(0.14):
        text = text[0].lower() + text[1:]
    if dice.chance(0.06):
        text = dice.pick(PREFIXES) + text
    return text + dice.pick(SUFFIXES) if dice.chance(0.12) else text


def tell_solar(dice: Dice, job: Job) -> str:
    """Tell the size of a solar system in one of the many ways that it is told."""
    kw, watts = f"{job.size:.2f}".rstrip("0").rstrip("."), int(job.size * 1000 + 0.5)
    return dice.pick(
        (
            f"{kw} kW",
            f"{kw} kW",
            f"{kw}kW DC",
            f"{job.size:.2f} KW",
            f"{kw} kW-DC",
            f"{watts:,} watts",
            f"{watts}W",
            f"({job.modules}) {job.module_w}W modules",
            f"{job.modules} x {job.module_w} W panels",
            f"{job.modules} panels, {kw} kW",
        )
    )


def _one_of(*things: str) -> Callable[[Dice, Job], str]:
    return lambda dice, job: dice.pick(things)


def _from_to(low: int, high: int) -> Callable[[Dice, Job], str]:
    return lambda dice, job: str(low + dice.below(high - low + 1))


FILLINGS: dict[str, Callable[[Dice, Job], str]] = {
    "amps": _one_of("150", "200", "200", "225", "320", "400"),
    "area": lambda dice, job: f"{int(job.size):,}" if dice.chance(0.3) else str(int(job.size)),
    "baths": _one_of("1", "2", "2", "2.5", "3", "3.5"),
    "batteries": lambda dice, job: str(job.batteries),
    "beds": _from_to(2, 5),
    "charger_amps": _one_of("40", "48", "50", "60"),
    "decade": _one_of("38", "46", "52", "61", "74", "85"),
    "feet": _from_to(16, 60),
    "few": _from_to(2, 4),
    "gallons": _one_of("40", "50", "50", "75"),
    "generator_kw": _one_of("14", "18", "20", "22", "22", "24", "26", "38"),
    "half_feet": _from_to(8, 18),
    "kwh": lambda dice, job: f"{13.5 * job.batteries:g}",
    "level": _from_to(2, 24),
    "old_amps": _one_of("60", "100", "100", "125"),
    "place": lambda dice, job: "apartment" if job.flat else dice.pick(BUSINESSES if job.business else DWELLINGS),
    "pv": tell_solar,
    "room": _one_of(*ROOMS),
    "shop": _one_of(*SHOPS),
    "side": _one_of(*SIDES),
    "squares": _from_to(14, 60),
    "stories": lambda dice, job: str(job.stories),
    "tons": _one_of("2", "2.5", "3", "3", "3.5", "4", "5"),
    "units": lambda dice, job: str(job.units),
    "zones": _from_to(4, 24),
}


def tell_job(job: Job, text: str) -> Row:
    """Fill in what the work is."""
    return {
        "permit_class_mapped": "Commercial" if job.business else "Residential",
        "permit_class": job.kind.classes[job.business],
        "work_class": job.kind.work_class,
        "description": text,
    }


def tell_trade(trade: str, number: str) -> Row:
    """Fill in which permit of its project it is."""
    return {"permittype": trade, "permit_type_desc": TRADES[trade][0], "permit_number": f"{number} {trade}"}


def tell_course(applied: int, course: Course) -> Row:
    """Fill in the dates and the status."""
    return {
        "applieddate": stamp(applied),
        "issue_date": stamp(course.issued),
        "status_current": course.status,
        "statusdate": stamp(course.status_day),
        "expiresdate": stamp(course.expires),
        "completed_date": stamp(course.completed),
    }


def tell_measures(dice: Dice, job: Job) -> Row:
    """Fill in areas, floors, dwellings and values, which only the main permit of a project has."""
    row: Row = {}
    if job.kind.footage:
        row[job.kind.footage] = str(int(job.size))
    if job.kind.footage and not job.kind.dwellings:
        row["total_existing_bldg_sqft"] = str(int(job.size * (1.2 + 3.0 * dice.roll())))
    if job.kind.dwellings:
        row["housing_units"] = str(job.units)
        row["number_of_floors"] = str(job.stories)
    row["total_job_valuation"] = tell_value(dice, job)
    if row["total_job_valuation"] and job.kind.footage == "remodel_repair_sqft":
        row["total_valuation_remodel"] = str(int(float(row["total_job_valuation"]) * (0.5 + 0.5 * dice.roll())))
    return row


def tell_value(dice: Dice, job: Job) -> str:
    """Tell what the job costs in dollars; building permits nearly always do, the others in two cases of three."""
    if not dice.chance(0.94 if "BP" in job.kind.trades else 0.66):
        return ""
    if dice.chance(0.015):
        return dice.pick(("0", "0", "1"))
    median, spread = job.kind.value
    value = dice.around(median * (job.size if job.kind.size else 1.0), spread)
    value *= exponential(INFLATION * (job.year - 2020))
    if dice.chance(0.04):
        return f"{value:.2f}"
    step = 5 if value < 1_000 else 50 if value < 20_000 else 500
    return str(max(step, int(value / step + 0.5) * step))


def tell_site(site: Site, point: tuple[str, str, str]) -> Row:
    """Fill in where the work is."""
    return {
        "tcad_id": site.parcel,
        "legal_description": site.legal,
        "original_city": "AUSTIN",
        "original_state": "TX",
        "original_zip": site.zip_code,
        "council_district": site.district,
        "jurisdiction": site.jurisdiction,
        "latitude": point[0],
        "longitude": point[1],
        "location_accuracy": point[2],
    }


def tell_firm(dice: Dice, trade: str) -> Row:
    """Fill in who does the work; now and then nobody does yet."""
    if not dice.chance(0.92):
        return {}
    # A product of two numbers is small more often than not: few firms do much of the work.
    rank = int(dice.roll() * dice.roll() * FIRMS)
    return {
        "contractor_trade": TRADES[trade][1],
        "contractor_company_name": name_firm(trade, rank),
        "contractor_full_name": f"Synthetic Person {rank * 83 % PEOPLE:04d}",
        "contractor_phone": f"512-555-01{rank * 7 % 100:02d}",
    }


@lru_cache(maxsize=1_000)
def name_firm(trade: str, rank: int) -> str:
    """Invent the name of a firm of some trade; no two share a name."""
    firm = rank * FIRM_STRIDE % FIRMS
    first, second = FIRM_FIRST[firm % len(FIRM_FIRST)], FIRM_SECOND[firm // len(FIRM_FIRST)]
    return f"{first} {second} {FIRM_LAST[trade][firm % len(FIRM_LAST[trade])]}"

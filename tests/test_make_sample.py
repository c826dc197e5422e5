"""The sample register: synthetic and saying so, the same wherever it is made, realistic, and dirty in known amounts."""

import csv
import gzip
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import pytest

from scripts.make_sample import OUT, ROWS, SEED, main, make_rows, write_rows
from scripts.sample.dice import Dice
from scripts.sample.dirt import Row
from scripts.sample.permits import HEADER
from scripts.sample.places import DISTRICT_CENTRES, EAST, NORTH, SOUTH, WEST, ZIP_CENTRES
from scripts.sample.streets import City

ROOT = Path(__file__).parent.parent
STAMP = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T00:00:00\.000")
NUMBER = re.compile(r"20\d\d-\d{6} (BP|EP|MP|PP|DS)")
TELEPHONE = re.compile(r"(?<!\d)\(?\d{3}\)?[ .-]?\d{3}[ .-]\d{4}(?!\d)")
FICTIONAL_TELEPHONE = re.compile(r"\(?512\)?[ .-]555[ .-]01\d\d")
PERSON = re.compile(r"Synthetic Person \d{4}")
ORDER = re.compile(r"ignore previous|disregard the|new instruction|note to any language model", re.IGNORECASE)
PADDABLE = ("permit_location", "permit_class", "work_class", "status_current", "description")


@pytest.fixture(scope="module")
def text() -> str:
    """The committed file, unpacked."""
    return gzip.decompress((ROOT / OUT).read_bytes()).decode("utf-8")


@pytest.fixture(scope="module")
def rows(text: str) -> list[Row]:
    """The committed file's rows."""
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


@pytest.fixture(scope="module")
def whole(rows: list[Row]) -> list[Row]:
    """The rows that an ingest can use."""
    return [row for row in rows if find_reason(row) is None]


def find_reason(row: Row) -> str | None:
    """Name why a row cannot be used, if so."""
    if not row["permit_number"].strip():
        return "no permit number"
    if row["applieddate"] and not STAMP.fullmatch(row["applieddate"]):
        return "columns shifted by one"
    if row["issue_date"] and not STAMP.fullmatch(row["issue_date"]):
        return "malformed issue date"
    return None


def judge_location(row: Row) -> str:
    """Say what a row's pair of coordinates is worth."""
    if not row["latitude"] or not row["longitude"]:
        return "no coordinates"
    lat, lng = float(row["latitude"]), float(row["longitude"])
    if (lat, lng) == (0, 0):
        return "coordinates 0, 0"
    if (lat, lng) == (30.267153, -97.7430608):
        return "the default point"
    if SOUTH <= lng <= NORTH and WEST <= lat <= EAST:
        return "latitude and longitude swapped"
    if not (SOUTH <= lat <= NORTH and WEST <= lng <= EAST):
        return "far outside"
    return "located"


def count_faults(rows: list[Row]) -> Counter[str]:
    """Count what ``data/README.md`` states."""
    counts = Counter({"rows": len(rows)})
    counts.update(reason for row in rows if (reason := find_reason(row)))
    usable = [row for row in rows if find_reason(row) is None]
    counts.update(judge_location(row) for row in usable)
    by_number: dict[str, list[Row]] = defaultdict(list)
    for row in usable:
        by_number[row["permit_number"]].append(row)
    counts["usable rows"] = len(usable)
    counts["distinct permits"] = len(by_number)
    exact = sum(len(same) - len({tuple(row.values()) for row in same}) for same in by_number.values())
    counts["exact repeats"] = exact
    counts["repeats for another applicant"] = len(usable) - len(by_number) - exact
    counts["no ZIP"] = sum(not row["original_zip"] for row in usable)
    counts["a blank-padded value"] = sum(any(row[name] != row[name].strip() for name in PADDABLE) for row in usable)
    counts["description in capitals"] = sum(row["description"].isupper() for row in usable)
    counts["telephone or e-mail in the description"] = sum(
        bool(TELEPHONE.search(row["description"]) or "@" in row["description"]) for row in usable
    )
    counts["an order to a language model in the description"] = sum(
        bool(ORDER.search(r["description"])) for r in usable
    )
    values = [float(row["total_job_valuation"]) for row in usable if row["total_job_valuation"]]
    counts["an absurd valuation"] = sum(value < 0 or value > 1e9 for value in values)
    counts["a valuation of 0 or 1"] = sum(value in (0, 1) for value in values)
    counts["most permits on one true point"] = max(
        Counter((r["latitude"], r["longitude"]) for r in usable if judge_location(r) == "located").values()
    )
    return counts


def test_making_it_again_gives_the_committed_rows(text: str) -> None:
    made = io.StringIO(newline="")
    write_rows(made, make_rows(rows=ROWS, seed=SEED))
    assert made.getvalue() == text


def test_another_seed_gives_another_register() -> None:
    first, other = (list(islice(make_rows(rows=ROWS, seed=seed), 50)) for seed in (SEED, SEED + 1))
    assert first != other


def test_the_file_holds_no_time_and_no_file_name(tmp_path: Path) -> None:
    files = tmp_path / "one.csv.gz", tmp_path / "another.csv.gz"
    for file in files:
        assert main(["--rows", "300", "--out", str(file)]) == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    assert (ROOT / OUT).read_bytes()[3:8] == bytes(5), "no flags, so no name, and a time of 0"
    assert sorted(tmp_path.iterdir()) == sorted(files), "nothing else is left behind"


def test_rows_stream_however_many_are_asked_for() -> None:
    assert len(list(islice(make_rows(rows=100_000_000, seed=SEED), 100))) == 100


@pytest.mark.parametrize("wanted", [1, 2, 777])
def test_as_many_rows_come_as_are_asked_for(wanted: int) -> None:
    assert len(list(make_rows(rows=wanted, seed=SEED))) == wanted


def test_every_row_says_that_it_is_synthetic(rows: list[Row]) -> None:
    assert tuple(rows[0]) == HEADER
    assert HEADER[0] == "data_origin"
    assert {row["data_origin"] for row in rows} == {"synthetic"}
    assert all("example.invalid/" in row["link"] for row in rows if row["link"].startswith("http"))


def test_the_readme_states_what_the_file_holds(rows: list[Row]) -> None:
    readme = (ROOT / "data/README.md").read_text("utf-8")
    stated = {
        name: int(count.replace(",", ""))
        for name, count in re.findall(r"^\| (.+?) \| ([\d,]+) \|$", readme, re.MULTILINE)
    }
    assert stated == dict(count_faults(rows))


def test_dirt_comes_at_the_rates_of_real_exports(rows: list[Row]) -> None:
    counts = count_faults(rows)
    assert counts["rows"] == 20_000
    assert 0.05 < counts["no coordinates"] / ROWS < 0.07
    assert 0.003 < counts["the default point"] / ROWS < 0.008
    assert 0.003 < counts["no ZIP"] / ROWS < 0.012
    assert 0.002 < counts["exact repeats"] / ROWS < 0.005
    assert 0.005 < counts["repeats for another applicant"] / ROWS < 0.02
    assert 200 <= counts["most permits on one true point"] <= 900


def test_a_fan_out_differs_only_in_the_applicant(whole: list[Row]) -> None:
    by_number: dict[str, list[Row]] = defaultdict(list)
    for row in whole:
        by_number[row["permit_number"]].append(row)
    differing = {
        name for same in by_number.values() for row in same[1:] for name in HEADER if row[name] != same[0][name]
    }
    assert differing == {"applicant_full_name", "applicant_phone"}


def test_exact_repeats_lie_far_from_their_first(whole: list[Row]) -> None:
    seen: dict[tuple[str, ...], int] = {}
    distances = []
    for place, row in enumerate(whole):
        first = seen.setdefault(tuple(row.values()), place)
        if first != place:
            distances.append(place - first)
    assert max(distances) > 1_000


def test_dates_come_in_their_order(whole: list[Row]) -> None:
    for row in whole:
        days = [row[name] for name in ("applieddate", "issue_date", "completed_date") if row[name]]
        assert days == sorted(days), row["permit_number"]
        assert days[0] >= "2012-01-01"
        assert days[-1] < "2026-11-01"
        assert row["applieddate"] <= row["statusdate"] < "2026-11-01"
        assert not row["expiresdate"] or row["issue_date"] <= row["expiresdate"]
        assert int(row["permit_number"][:4]) == int(row["applieddate"][:4])


def test_a_status_agrees_with_its_dates(whole: list[Row]) -> None:
    for row in whole:
        status = row["status_current"].strip()
        assert bool(row["completed_date"]) == (status == "Final")
        if status == "Active":
            assert row["expiresdate"] >= "2026-10-31"
        if status == "Expired":
            assert row["expiresdate"] < "2026-10-31"
        if status in {"Pending", "Pending Permit", "Awaiting Update"}:
            assert not row["issue_date"]


def test_an_address_has_one_point_one_zip_and_one_parcel(whole: list[Row]) -> None:
    known: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    zips: dict[str, set[str]] = defaultdict(set)
    for row in whole:
        address = row["original_address1"]
        zips[address] |= {row["original_zip"]} - {""}
        if judge_location(row) == "located":
            known[address].add((row["latitude"], row["longitude"], row["tcad_id"], row["council_district"]))
    assert all(len(points) == 1 for points in known.values())
    assert all(len(found) <= 1 for found in zips.values())
    assert sum(len(points) for points in known.values()) > 5_000


def test_house_numbers_grow_along_a_street() -> None:
    city = City(Dice(SEED))
    for street in [*city.thoroughfares, *(street for streets in city.local.values() for street in streets)]:
        leg = street.legs[0]
        numbers = range(
            street.first, street.first + 2 * int(leg.length_m / street.length_m * (street.last - street.first) / 2), 2
        )
        along = [measure_along(street.locate(number), leg.towards) for number in numbers]
        assert all(near < far for near, far in pairwise(along)), street.name


def measure_along(point: tuple[float, float], towards: tuple[float, float]) -> float:
    """Project a point on a direction; 0.8676 is the cosine of 30.1 to 30.5 degrees, near enough to order by."""
    return point[1] * 0.8676 * towards[0] + point[0] * towards[1]


def test_no_two_streets_share_a_name() -> None:
    city = City(Dice(SEED))
    names = [street.name for street in city.thoroughfares]
    names += [street.name for streets in city.local.values() for street in streets]
    assert len(names) == len(set(names))


def test_every_address_lies_in_the_city_with_its_zip_and_district(whole: list[Row]) -> None:
    zips, districts = ({name for name, _, _ in centres} for centres in (ZIP_CENTRES, DISTRICT_CENTRES))
    assert {row["original_zip"] for row in whole} == zips | {""}
    assert {row["council_district"] for row in whole} == districts | {""}
    assert {row["jurisdiction"] for row in whole if not row["council_district"]} == {"AUSTIN 2 MILE ETJ"}


def test_permits_are_denser_downtown_than_at_the_edge(whole: list[Row]) -> None:
    points = [(float(r["latitude"]), float(r["longitude"])) for r in whole if judge_location(r) == "located"]
    middle = sum(abs(lat - 30.27) < 0.03 and abs(lng + 97.74) < 0.03 for lat, lng in points)
    edge = sum(abs(lat - 30.13) < 0.03 and abs(lng + 97.91) < 0.03 for lat, lng in points)
    assert middle > 20 * edge


def test_trades_of_one_project_share_address_point_and_words(rows: list[Row]) -> None:
    clean = make_clean_projects(rows)
    assert sum(len({row["permittype"] for row in project}) >= 3 for project in clean) > 1_000
    for project in clean:
        for name in ("original_address1", "tcad_id", "applieddate", "work_class"):
            assert len({row[name].strip() for row in project}) == 1


def make_clean_projects(rows: list[Row]) -> list[list[Row]]:
    """Gather usable rows by the number that their trades share."""
    projects: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if find_reason(row) is None:
            assert NUMBER.fullmatch(row["permit_number"])
            assert row["permit_number"].endswith(row["permittype"])
            projects[row["permit_number"][:11]].append(row)
    return list(projects.values())


def test_solar_grows_the_freeze_comes_once_and_2020_dips(whole: list[Row]) -> None:
    solar = Counter(
        r["applieddate"][:4]
        for r in whole
        if re.search(r"solar p|photovoltaic|\bpv\b", r["description"], re.IGNORECASE)
    )
    frozen = Counter(r["applieddate"][:7] for r in whole if "freeze" in r["description"].lower())
    years = Counter(r["applieddate"][:4] for r in whole)
    assert solar["2025"] > 3 * solar["2012"] > 0
    assert frozen.total() > 40
    assert set(frozen) <= {f"2021-0{month}" for month in range(2, 8)}
    assert years["2020"] < years["2019"] < years["2021"]


def test_solar_sizes_are_told_in_many_ways(whole: list[Row]) -> None:
    told = [row["description"].lower() for row in whole]
    for way in (
        r"\d kw\b",
        r"\dkw dc",
        r"\d,\d{3} watts",
        r"\d{4}w\b",
        r"\(\d+\) \d{3}w modules",
        r"\d+ x \d{3} w panels",
    ):
        assert any(re.search(way, text) for text in told), way


def test_no_person_and_no_telephone_is_real(rows: list[Row]) -> None:
    for row in rows:
        told = [value for name, value in row.items() if name not in {"tcad_id", "legal_description"}]
        telephones = [number for value in told for number in TELEPHONE.findall(value)]
        assert all(FICTIONAL_TELEPHONE.fullmatch(number) for number in telephones)
        assert all(address.endswith("@example.com") for address in re.findall(r"\S+@[\w.]+", row["description"]))
        if find_reason(row) is None:
            assert PERSON.fullmatch(row["applicant_full_name"])
            assert not row["contractor_full_name"] or PERSON.fullmatch(row["contractor_full_name"])


def test_values_are_plausible_by_kind(whole: list[Row]) -> None:
    homes = sorted(collect_values(whole, "R- 101 Single Family Houses"))
    heaters = sorted(
        collect_values([row for row in whole if "water heater" in row["description"].lower()], "Residential")
    )
    assert 150_000 < homes[len(homes) // 2] < 500_000
    assert 1_000 < heaters[len(heaters) // 2] < 4_000


def collect_values(rows: list[Row], permit_class: str) -> Iterator[float]:
    """Yield the stated values of one permit class."""
    for row in rows:
        if row["permit_class"].strip() == permit_class and row["total_job_valuation"]:
            yield float(row["total_job_valuation"])

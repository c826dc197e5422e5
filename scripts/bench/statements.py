"""The statements that near is measured beside: typed columns of the nearest permits, and what the service asks."""

from collections.abc import Sequence
from typing import Any

import psycopg

from app.database import compile_text
from app.permits.near import NearQuery, compile_candidates, select_candidates, start_search
from app.permits.register import Register
from scripts.bench import pgbench

ORIGIN = "ST_SetSRID(ST_MakePoint(:lng, :lat), 4326)::geography"
# Its columns are written out, so that the limit stays where it is whatever the service comes to select.
TYPED = f"""
SELECT city, source_id, permit_number, permit_type, permit_type_mapped, permit_class, permit_class_mapped, work_class,
  status_current, status_current_mapped, applied_date, issued_date, completed_date, categories, solar_kw, battery_kwh,
  description, original_address1, original_zip, council_district, est_project_cost_usd, housing_units, total_sqft,
  contractor_company_name, link, location_quality, ST_X(location::geometry) AS lng, ST_Y(location::geometry) AS lat,
  ST_Distance(location, {ORIGIN}) AS distance_m
FROM permits
WHERE ST_DWithin(location, {ORIGIN}, {{radius_m}}) AND city IN ({{cities}}) AND removed_run IS NULL
ORDER BY location <-> {ORIGIN} LIMIT {{limit}}
"""  # noqa: S608 - for pgbench, of the bench's own words


def write_typed(register: Register, queries: Sequence[NearQuery]) -> str:
    """Write the script of the statement that returns the typed columns, its points drawn at random."""
    cities = ", ".join(f"'{city}'" for city in register.answering)
    statement = TYPED.format(radius_m=queries[0].radius_m, limit=queries[0].limit, cities=cities).strip()
    return pgbench.write_script(statement, [{"lat": query.lat, "lng": query.lng} for query in queries])


def compile_own(register: Register, query: NearQuery, *, ready: bool = True) -> tuple[str, dict[str, Any]]:
    """Give the statement that the service first asks for a page, with its values: the one place that knows of it.

    Without ``ready`` it gives columns in place of features.
    """
    search = start_search(query, register, None, wanted=query.limit + 1)
    names, walk = frozenset(search.values), search.framed.walk
    text = compile_candidates(names, walk) if ready else compile_text(select_candidates(names, walk))
    return text, {**search.values, "take": search.take}


def write_own(register: Register, queries: Sequence[NearQuery], *, ready: bool = True) -> str:
    """Write the script of the service's own statement, its queries drawn at random."""
    compiled = [compile_own(register, query, ready=ready) for query in queries]
    if len({statement for statement, _ in compiled}) > 1:
        raise ValueError("the service asks these queries by more than one statement")
    statement, first = compiled[0]
    varying = [name for name in first if len({repr(values[name]) for _, values in compiled}) > 1]
    drawn = [{name: float(values[name]) for name in varying} for _, values in compiled]
    return pgbench.write_script(pgbench.bare(statement, first, varying), drawn)


def explain_own(connection: psycopg.Connection[Any], register: Register, query: NearQuery) -> str:
    """Run the service's own statement as its connections do and give its plan, buffers counted."""
    statement, values = compile_own(register, query)
    for setting in ("plan_cache_mode = force_custom_plan", "jit = off", "max_parallel_workers_per_gather = 0"):
        connection.execute(f"SET {setting}".encode())
    rows = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS) {statement}".encode(), values)
    return "\n".join(str(row[0]) for row in rows)

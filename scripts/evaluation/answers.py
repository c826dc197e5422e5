"""Gold answers: plain SQL of its own over the permits, from a gold plan; nothing here goes through the service."""

from dataclasses import dataclass
from typing import Any

import psycopg

from scripts.evaluation.forms import Form

LIMIT = 5
OWN = {"status": "status_current", "permit_type": "permit_type", "permit_class": "permit_class"}
CLAUSES = {
    "category": "p.categories && %s::text[]",
    "zip": "p.zip = ANY(%s::text[])",
    "district": "p.district = ANY(%s::text[])",
    "work_class": "lower(p.work_class) = ANY(%s::text[])",
    "region": "EXISTS (SELECT FROM regions r WHERE r.city = p.city AND lower(r.name) = ANY(%s::text[])"
    " AND ST_Intersects(r.area, p.location::geometry))",
    "issued_from": "p.issued_date >= %s::date",
    "issued_to": "p.issued_date <= %s::date",
    "applied_from": "p.applied_date >= %s::date",
    "applied_to": "p.applied_date <= %s::date",
    "min_value_usd": "p.est_project_cost_usd >= %s",
    "max_value_usd": "p.est_project_cost_usd <= %s",
}
WORDS = "lower(coalesce(p.{0}_mapped, p.{0})) = ANY(%s::text[])"
FIGURES = """
  count(*), count(p.est_project_cost_usd), coalesce(sum(p.est_project_cost_usd), 0),
  percentile_cont(0.5) WITHIN GROUP (ORDER BY p.est_project_cost_usd::double precision),
  avg(p.est_project_cost_usd),
  percentile_cont(0.5) WITHIN GROUP (ORDER BY (p.issued_date - p.applied_date)::double precision)
"""
PERIODS_MAX = 60
"""So many the service tells; of more it tells the last."""
MEASURES = {"permits": 0, "value_usd": 2, "median_value_usd": 3, "mean_value_usd": 4, "days_to_issue": 5}
KIND_MEASURES = {"sum": "value_usd", "median": "median_value_usd", "mean": "mean_value_usd", "waiting": "days_to_issue"}
GROUPS = {
    "category": "c.one",
    "region": "r.region",
    "zip": "p.zip",
    "district": "p.district",
    "work_class": "p.work_class",
    "company": "upper(regexp_replace(trim(p.contractor_company_name), '[[:space:]]+', ' ', 'g'))",
    **{name: f"coalesce(p.{column}_mapped, p.{column})" for name, column in OWN.items()},
}
SOURCES = {
    "category": "permits p CROSS JOIN unnest(p.categories) AS c(one)",
    "region": "permits p JOIN regions r ON r.city = p.city AND r.kind = 'neighborhood'"
    " AND ST_Intersects(r.area, p.location::geometry)",
}
AREA_KM2 = {"region": "ST_Area(r.area::geography) / 1e6"}
PERIODS = {"year": "year", "quarter": "quarter", "month": "month"}
ORDERS = {
    "newest": "p.issued_date DESC NULLS LAST, p.city, p.source_id",
    "largest": "p.est_project_cost_usd DESC NULLS LAST, p.city, p.source_id",
}
Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Answer:
    """What an answer must tell: figures in order, each in the forms that it may have, and permits in order."""

    figures: tuple[tuple[float | None, ...], ...] = ()
    permits: tuple[str, ...] = ()
    is_known: bool = True
    """False for what only a run's history tells, or what was not written here."""


class Ledger:
    """Answers from the permits of one city, by SQL alone."""

    def __init__(self, connection: psycopg.Connection[Any], city: str) -> None:
        self.connection = connection
        self.city = city

    def answer(self, form: Form, *, limit: int | None = None) -> Answer:
        """Give what the answer to a plan in flat form must tell, its places as circles."""
        kind, measure = form["kind"], str(form.get("measure", "permits"))
        match kind:
            case "count":
                return Answer((one(self.total(form)[0]),))
            case "sum" | "median" | "mean" | "waiting":
                total = self.total(form)
                return Answer((one(total[MEASURES[KIND_MEASURES[kind]]] if total[1] or kind != "sum" else None),))
            case "share":
                part, whole = self.total(form)[0], self.total(form, "versus")[0]
                return Answer((one(whole),) if not whole else ((100 * part / whole, part / whole),))
            case "compare" if measure in MEASURES:
                sides = (self.total(form, side)[MEASURES[measure]] for side in ("where", "versus"))
                return Answer(tuple(one(side) for side in sides))
            case "top" if measure == "permits_per_km2" and form["group_by"] not in AREA_KM2:
                return Answer(is_known=False)
            case "top":
                return Answer(tuple(one(figure) for figure in self.rank(form, measure, limit or LIMIT)))
            case "series" if measure in MEASURES:
                figures = self.follow(form, measure)
                return Answer(tuple(map(one, figures))) if len(figures) <= PERIODS_MAX else Answer(is_known=False)
            case "list" if form["order"] in ORDERS or form["order"] == "nearest":
                return Answer((one(self.total(form)[0]),), self.list_permits(form, limit or LIMIT))
            case "list":
                return Answer(permits=self.list_open(form, limit or LIMIT))
            case "changed":
                return Answer((one(self.count_changed(form)),))
            case "joined":
                return Answer((one(self.join(form)),))
            case "density":
                return self.density(form)
        return Answer(is_known=False)

    def total(self, form: Form, side: str = "where") -> tuple[Any, ...]:
        """Give count, priced, sum, median, mean and median days of a side of a plan."""
        text, values = self.choose(form, side)
        return self.run(f"SELECT {FIGURES} FROM permits p WHERE {text}", values)[0]

    def rank(self, form: Form, measure: str, limit: int) -> list[float]:
        """Give the figures of the largest groups in order."""
        text, values = self.choose(form, "where")
        key, source = GROUPS[form["group_by"]], SOURCES.get(form["group_by"], "permits p")
        statement = f"SELECT {FIGURES}, min({AREA_KM2.get(form['group_by'], '1')}) FROM {source}"
        rows = self.run(f"{statement} WHERE {text} AND {key} IS NOT NULL GROUP BY {key}", values)
        is_density = measure == "permits_per_km2"
        figures = [row[0] / row[-1] if is_density else row[MEASURES[measure]] for row in rows]
        return sorted((figure for figure in figures if figure is not None), reverse=True)[:limit]

    def follow(self, form: Form, measure: str) -> list[float]:
        """Give the figures of the periods of issue that have any, in order."""
        text, values = self.choose(form, "where")
        period = PERIODS[str(form.get("period", "year"))]
        chosen = f"permits p WHERE {text} AND p.issued_date IS NOT NULL GROUP BY begins ORDER BY begins"
        rows = self.run(f"SELECT {FIGURES}, date_trunc(%s, p.issued_date) AS begins FROM {chosen}", [period, *values])
        return [row[MEASURES[measure]] for row in rows if row[MEASURES[measure]]]

    def list_permits(self, form: Form, limit: int) -> tuple[str, ...]:
        """Give the source ids of the first permits of a list."""
        text, values = self.choose(form, "where")
        order, more = ORDERS.get(form["order"]), []
        if order is None:
            circle = form["where.area"]
            order, more = "ST_Distance(p.location, ST_Point(%s, %s, 4326)::geography), p.city, p.source_id", [circle]
        points = [degree for circle in more for degree in (circle.lng, circle.lat)]
        statement = f"SELECT p.source_id FROM permits p WHERE {text} ORDER BY {order} LIMIT %s"
        return tuple(row[0] for row in self.run(statement, [*values, *points, limit]))

    def list_open(self, form: Form, limit: int) -> tuple[str, ...]:
        """Give the source ids of the permits that have been open for longest: neither done nor given up nor expired."""
        text, values = self.choose(form, "where")
        statement = f"""
          SELECT p.source_id FROM permits p
          WHERE {text} AND p.completed_date IS NULL AND least(p.applied_date, p.issued_date) IS NOT NULL
            AND p.status_current_mapped IN ('Application Accepted', 'In Review', 'Permit Issued', 'Inspection Phase')
          ORDER BY least(p.applied_date, p.issued_date), p.city, p.source_id LIMIT %s
        """
        return tuple(row[0] for row in self.run(statement, [*values, limit]))

    def count_changed(self, form: Form) -> int:
        """Count the permits that later runs than a city's first one inserted or told otherwise since a day."""
        text, values = self.choose(form, "where")
        later = """
          SELECT run FROM ingest_runs r WHERE r.city = %s AND r.finished_at >= %s::date
            AND r.run > (SELECT min(run) FROM ingest_runs WHERE city = r.city)
        """
        told = "SELECT FROM permit_changes c WHERE c.city = p.city AND c.source_id = p.source_id AND c.run IN"
        statement = f"""
          SELECT count(*) FROM permits p
          WHERE {text} AND (p.first_run IN ({later}) OR EXISTS ({told} ({later})))
        """
        return int(self.run(statement, [*values, *[self.city, form["since"]] * 2])[0][0])

    def join(self, form: Form) -> int:
        """Count the addresses that have a permit of the one side and one of the other side."""
        text, values = self.choose(form, "where")
        other, others = self.choose(form, "beside", "q")
        later = "AND q.issued_date > p.issued_date" if form.get("sequence") == "then" else ""
        statement = f"""
          SELECT count(*) FROM (
            SELECT DISTINCT p.house_number, p.street FROM permits p JOIN permits q
              ON q.house_number = p.house_number AND q.street = p.street {later}
            WHERE {text} AND {other}) AS addresses
        """
        return int(self.run(statement, [*values, *others])[0][0])

    def density(self, form: Form) -> Answer:
        """Give the permits per square kilometre of a circle or of regions."""
        count = self.total(form)[0]
        if circle := form.get("where.area"):
            area = "SELECT ST_Area(ST_Buffer(ST_Point(%s, %s, 4326)::geography, %s, 'quad_segs=64')) / 1e6"
            found = self.run(area, [circle.lng, circle.lat, circle.radius_m])
        elif names := form.get("where.region"):
            area = "SELECT sum(ST_Area(area::geography)) / 1e6 FROM regions WHERE city = %s AND lower(name) = ANY(%s)"
            found = self.run(area, [self.city, list(names)])
        else:
            return Answer(is_known=False)
        return Answer((one(count / found[0][0]),)) if found[0][0] else Answer(is_known=False)

    def choose(self, form: Form, side: str, table: str = "p") -> tuple[str, list[Any]]:
        """Give the condition that permits of a side meet, with its values."""
        clauses, values = [f"{table}.city = %s AND {table}.removed_run IS NULL"], [self.city]
        left_out: list[tuple[str, Any]] = []
        for part, value in form.items():
            if part.startswith(f"{side}.without."):
                left_out.append((part.rsplit(".", 1)[1], value))
            elif part.startswith(f"{side}."):
                clause, given = write_clause(part.rsplit(".", 1)[1], value)
                clauses.append(clause)
                values += given
        if left_out:
            written = [write_clause(field, value) for field, value in left_out]
            clauses.append(f"NOT coalesce({' AND '.join(clause for clause, _ in written)}, false)")
            values += [value for _, given in written for value in given]
        return " AND ".join(clauses).replace("p.", f"{table}."), values

    def run(self, statement: str, values: list[Any]) -> Rows:
        """Run a statement; only its values come from elsewhere, and they are bound."""
        return self.connection.execute(statement.encode(), values).fetchall()


def write_clause(field: str, value: Any) -> tuple[str, list[Any]]:  # noqa: ANN401 - whatever a filter holds
    """Give the condition for one filter, with its values."""
    if field == "area":
        return "ST_Distance(p.location, ST_Point(%s, %s, 4326)::geography) <= %s", [
            value.lng,
            value.lat,
            value.radius_m,
        ]
    if field in OWN:
        return WORDS.format(OWN[field]), [list(value)]
    return CLAUSES[field], [list(value) if isinstance(value, tuple) else value]


def one(figure: Any) -> tuple[float | None, ...]:  # noqa: ANN401 - a number of the database
    """Give a figure that has one form."""
    return (None if figure is None else float(figure),)

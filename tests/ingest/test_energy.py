"""The size of a solar system and of a battery is read with its unit, and not from what looks like it."""

import pytest

from app.ingest.energy import find_battery_kwh, find_solar_kw


@pytest.mark.parametrize(
    ("text", "kilowatts"),
    [
        ("Install 7.6 KW roof mounted solar on bungalow", 7.6),
        ("Install new 6.24KW solar system", 6.24),
        ("22.695 kW roof mounted solar + 2 Powerwall 3 batteries", 22.695),
        ("5,200 watt solar array", 5.2),
        ("1,250 kW solar farm", 1250.0),
        ("Rooftop solar of a noodle shop, 771.5 kw DC", 771.5),
        ("Solar installation (8.72 kW DC) with 20 kWh battery backup", 8.72),
        ("7.92 KW DC solar PV with 18 - 440W PV modules", 7.92),
        ("solar, 18 x 440 W modules", 7.92),
        ("Install 32 - 260watt DC solar modules", 8.32),
        ("24 panels at 400W, solar", 9.6),
        ("3.92 kilowatts of solar panels", 3.92),
        ("13.5 kW energy storage system and 7.65 kw rooftop solar system", 7.65),
        ("add 2.3 kW solar to existing 4.5 kW system", 2.3),
        ("Install solar system on bungalow", None),
        ("solar with 10 kWh battery", None),
        ("11.5kw Tesla PW3 to existing 4.07kw solar system", None),
        ("PV meter for existing 30KW Photo Voltaic System", None),
        ("200 amp service, 24 solar panels", None),
        ("PV 6.5kW DC with energy storage (10 kWh) in garage", 6.5),
        ("solar 5 kW battery", None),
    ],
)
def test_the_size_of_a_solar_system_is_read_with_its_unit(text: str, kilowatts: float | None) -> None:
    assert find_solar_kw(text) == kilowatts


@pytest.mark.parametrize(
    ("text", "kilowatt_hours"),
    [
        ("Install 13.5 kWh battery", 13.5),
        ("energy storage, 27kWh, on bungalow", 27.0),
        ("20.0 KWH lithium ion energy storage system", 20.0),
        ("battery of 13.5k Wh", 13.5),
        ("10 kilowatt-hours of storage", 10.0),
        ("2 MWh of storage at loom mill", 2000.0),
        ("1,250 kWh of storage", 1250.0),
        ("8.72 kW DC solar with 20 kWh battery", 20.0),
        ("existing 13.5 kWh battery, add 5 kWh", 5.0),
    ],
)
def test_the_capacity_of_a_battery_is_read_with_its_unit(text: str, kilowatt_hours: float) -> None:
    assert find_battery_kwh(text) == kilowatt_hours


@pytest.mark.parametrize(
    ("text", "kilowatt_hours"),
    [
        ("2 x 13.5 kWh", 27.0),
        ("13.5 kWh x 2", 27.0),
        ("(2) Tesla Powerwall 13.5kWh", 27.0),
        ("two batteries of 5 kWh", 10.0),
        ("Powerwall 3, 13.5 kWh", 13.5),
        ("24 panels and a 10 kWh battery", 10.0),
        ("three batteries (14.3 kWh each, 42.9 kWh total)", 42.9),
        ("(2) Powerwalls, 27 kWh", 27.0),
    ],
)
def test_the_capacity_of_several_batteries_is_that_of_all(text: str, kilowatt_hours: float) -> None:
    assert find_battery_kwh(text) == kilowatt_hours


@pytest.mark.parametrize(
    "text",
    [
        "solar with battery",
        "13.5 kW energy storage system",
        "PV makes 8,000 kWh/yr",
        "PV makes 8,000 kWh per year",
        "annual production of 9,000 kWh",
        "install kWh meter",
        "0.1 kWh",
    ],
)
def test_power_and_yield_are_no_capacity(text: str) -> None:
    assert find_battery_kwh(text) is None

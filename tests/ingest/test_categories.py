"""What a permit is about is told by its own words, and look-alikes are not taken for it."""

import pytest

from app.ingest.categories import Subject, categorize
from app.ingest.category_rules import RULES
from app.permits.words import Category, PermitTypeMapped

B, E, M, P = (
    PermitTypeMapped.BUILDING,
    PermitTypeMapped.ELECTRICAL,
    PermitTypeMapped.MECHANICAL,
    PermitTypeMapped.PLUMBING,
)
NEITHER = PermitTypeMapped.OTHER


def about(
    text: str, permit_type: PermitTypeMapped | None = None, permit_class: str = "", work_class: str = ""
) -> set[str]:
    """Name the categories of a permit."""
    return {str(category) for category in categorize(Subject(text, permit_type, permit_class, work_class))}


@pytest.mark.parametrize(
    ("text", "permit_type", "category"),
    [
        ("Install 8 kW roof mounted solar PV system", E, "solar"),
        ("New photovoltaic array on carport", B, "solar"),
        ("add PV modules to existing house", E, "solar"),
        ("add 4 panels to existing solar system", E, "solar"),
        ("Add 5.2 kW to existing solar array", E, "solar"),
        ("Roof mounted 20 kW auxiliary power system", E, "solar"),
        ("install soalr on bungalow", E, "solar"),
        ("Install energy storage system, 13.5 kWh", E, "battery"),
        ("2 Powerwall 3 units", E, "battery"),
        ("replace flooded lead acid batteries in UPS room", E, "battery"),
        ("solar system with battery back-up", E, "battery"),
        ("disconnect to install a Tesla PW 3", E, "battery"),
        ("Install EVSE in garage", E, "ev_charger"),
        ("50 amp outlet for electric car", E, "ev_charger"),
        ("car charger only to residence", E, "ev_charger"),
        ("install level 2 charger", E, "ev_charger"),
        ("feeder to quick charger station", E, "ev_charger"),
        ("add 12 dual chargers to loom garage", E, "ev_charger"),
        ("Upgrade electrical service to 200 amps", E, "panel_upgrade"),
        ("replace main electrical panel of bungalow", E, "panel_upgrade"),
        ("Cottage service change", E, "panel_upgrade"),
        ("install standby generator with transfer switch", E, "generator"),
        ("run gas line to rear generator", P, "generator"),
        ("Replace existing standby generator, 18 kW", E, "generator"),
        ("pad for genset of loom mill", B, "generator"),
        ("Generac, 100 amps", E, "generator"),
        ("change out hvac at bungalow", M, "hvac"),
        ("Replacement of central heat and air at bungalow", M, "hvac"),
        ("install mini-split", M, "hvac"),
        ("Add AC to bungalow", E, "hvac"),
        ("Change out water heater at bungalow", P, "water_heater"),
        ("Solar Water Heater", P, "water_heater"),
        ("Inground swimming pool & spa", B, "pool"),
        ("Hot Tub", E, "pool"),
        ("resurface existing pool", B, "pool"),
        ("Private Hot-Tub & Enclosure", B, "pool"),
        ("Private Swimming & Enclosure", B, "pool"),
        ("New Autofill Pool", E, "pool"),
        ("gas line to existing pool only", P, "pool"),
        ("New pool in place of demolished pool", B, "pool"),
        ("Total demo of bungalow", B, "demolition"),
        ("Demolish rear garage", B, "demolition"),
        ("Total demo of pool", B, "demolition"),
        ("addition demo of rear loom shed", B, "demolition"),
        ("remove sheetrock for exploratory purposes", B, "demolition"),
        ("remove part of carport in setback", B, "demolition"),
        ("Wreck and remove a frame shed", B, "demolition"),
        ("New 2-story single-family residence, attached garage", B, "new_construction"),
        ("1 Stry Frm Res W/Adobe Ven", B, "new_construction"),
        ("New residence, service only, outside the city", E, "new_construction"),
        ("Addn To Exist Res To Create Loom Room", B, "addition"),
        ("Interior remodel to existing loom office", B, "remodel"),
        ("convert garage to loom room", B, "remodel"),
        ("New secondary apartment at rear", B, "adu"),
        ("Accessory dwelling unit above garage", B, "adu"),
        ("Non-structural re-roof to existing building", B, "roof"),
        ("replace roof shingles of bungalow", B, "roof"),
        ("Foundation repair on existing house", B, "foundation"),
        ("level existing house", B, "foundation"),
        ("Addition of an uncovered wood deck", B, "deck"),
        ("patio cover for existing yard", B, "deck"),
        ("install new irrigation system for roses", P, "irrigation"),
        ("Tenant Finish-Out to create noodle shop", B, "finish_out"),
    ],
)
def test_words_tell_the_category(text: str, permit_type: PermitTypeMapped, category: str) -> None:
    assert category in about(text, permit_type)


@pytest.mark.parametrize(
    ("text", "permit_type", "category"),
    [
        ("Install solar screens on 5 windows", B, "solar"),
        ("Solar Water Heater Residence", P, "solar"),
        ("Install electrical for solar water heater", E, "solar"),
        ("Add solarium to residence", B, "solar"),
        ("new driveway gate, solar powered gate", B, "solar"),
        ("remove existing solar panels", B, "solar"),
        ("accessory shade structure, no solar", B, "solar"),
        ("battery beside existing rooftop solar system", E, "solar"),
        ("Add 13.5 kWh home battery to existing solar", E, "solar"),
        ("relocate PV meter", E, "solar"),
        ("service disconnect for solar permit 2025-000001", E, "solar"),
        ("install smoke detectors with battery backup", B, "battery"),
        ("Install battery CO smoke detectors", B, "battery"),
        ("remodel center for battered women", B, "battery"),
        ("move battery charger to loom room", E, "battery"),
        ("flywheel UPS, no batteries are involved", E, "battery"),
        ("UPS for loom server room", E, "battery"),
        ("inlet for a portable battery", E, "battery"),
        ("install kWh meter", E, "battery"),
        ("move battery charger to loom room", E, "ev_charger"),
        ("replace evap coil", M, "ev_charger"),
        ("disconnect for future loom and vehicle charger", E, "ev_charger"),
        ("special event, forklift charging", E, "ev_charger"),
        ("install eight solar panels", E, "panel_upgrade"),
        ("new fire alarm panel", E, "panel_upgrade"),
        ("upgrade water service", P, "panel_upgrade"),
        ("new electric service to new residence", E, "panel_upgrade"),
        ("temporary meter loop for loom shed", E, "panel_upgrade"),
        ("Rooftop antenna on loom mill (No Generator)", E, "generator"),
        ("conduits for future generator", E, "generator"),
        ("inlet and generator interlock kit", E, "generator"),
        ("voltage stabilizer on exsting generator", E, "generator"),
        ("loom hut, the generator is not being installed", B, "generator"),
        ("steam generator for shower", P, "generator"),
        ("replace water heater of bungalow", M, "hvac"),
        ("gas line to pool heater", P, "hvac"),
        ("lot of 2 ac", B, "hvac"),
        ("new neighborhood sign", B, "hvac"),
        ("water heater closet door", B, "water_heater"),
        ("carpool lane striping", B, "pool"),
        ("remodel pool hall", B, "pool"),
        ("new pool house", B, "pool"),
        ("day spa finish out", B, "pool"),
        ("nail spa", B, "pool"),
        ("deck around existing pool", B, "pool"),
        ("demo existing swimming pool", B, "pool"),
        ("Total demo of house and pool", B, "pool"),
        ("delete interior pool and hot tub", P, "pool"),
        ("lounge and pool deck, floor 8", B, "pool"),
        ("new pool shade structure", B, "pool"),
        ("stucco wall at north side of pool", B, "pool"),
        ("loom terrace (pool to be permitted separately)", B, "pool"),
        ("amenity deck (NO POOL)", B, "pool"),
        ("Whirlpool tub", P, "pool"),
        ("create work space", B, "pool"),
        ("cooking demonstration kitchen", B, "demolition"),
        ("finish out product demo area", B, "demolition"),
        ("demo existing driveway", B, "demolition"),
        ("removed garage door for a window", B, "demolition"),
        ("predemolition survey of loom mill", B, "demolition"),
        ("partial demo, described for all trades", P, "demolition"),
        ("Install solar to new SF residence only", E, "new_construction"),
        ("install new electric service to existing residence", E, "new_construction"),
        ("new door in existing house", B, "new_construction"),
        ("additional outlets", E, "addition"),
        ("in addition, replace fixtures", B, "addition"),
        ("replace alternator", E, "remodel"),
        ("convert overhead service to underground", E, "remodel"),
        ("secondary school remodel", B, "adu"),
        ("existing rooftop unit", B, "roof"),
        ("roof mounted solar", B, "roof"),
        ("waterproofing of wall", B, "roof"),
        ("Tunnel under foundation to mend a drain", P, "foundation"),
        ("finish out hotel level 3", B, "foundation"),
        ("parking deck", B, "deck"),
        ("enclose existing patio", B, "deck"),
        ("cap existing irrigation", P, "irrigation"),
        ("fire sprinkler system", P, "irrigation"),
        ("remodel tenant space", B, "finish_out"),
    ],
)
def test_look_alikes_are_not_taken_for_it(text: str, permit_type: PermitTypeMapped, category: str) -> None:
    assert category not in about(text, permit_type)


def test_a_permit_may_have_several_categories_in_one_order() -> None:
    text = "Install 5 kW solar, energy storage system and EV charger; upgrade electrical service"
    found = categorize(Subject(text, E, "Residential", "Remodel"))
    assert found == (Category.SOLAR, Category.BATTERY, Category.EV_CHARGER, Category.PANEL_UPGRADE)


def test_a_permit_of_no_category_has_none() -> None:
    assert about("Replace water service line", P) == set()


@pytest.mark.parametrize(
    ("permit_type", "permit_class", "work_class", "category"),
    [
        (B, "R- 101 Single Family Houses", "New", "new_construction"),
        (M, "R- 101 Single Family Houses", "New", "hvac"),
        (B, "R- 102 Secondary Apartment", "New", "adu"),
        (B, "R- 645 Demolition One Family Homes", "Demolition", "demolition"),
        (B, "C-1001 Commercial Finish Out", "Remodel", "finish_out"),
        (B, "C-1000 Commercial Remodel", "Remodel", "remodel"),
        (B, "R- 434 Addition & Alterations", "Addition", "addition"),
        (P, "Residential", "Irrigation", "irrigation"),
        (E, "Residential", "Upgrade", "panel_upgrade"),
        (PermitTypeMapped.DEMOLITION, "", "", "demolition"),
        (PermitTypeMapped.POOL_SPA, "", "", "pool"),
        (PermitTypeMapped.ROOF, "", "", "roof"),
        (M, "Residential", "Change Out", "hvac"),
    ],
)
def test_class_and_type_tell_where_the_description_is_silent(
    permit_type: PermitTypeMapped, permit_class: str, work_class: str, category: str
) -> None:
    assert category in about("", permit_type, permit_class, work_class)


def test_a_trades_new_work_for_a_new_house_is_new_construction() -> None:
    assert "new_construction" in about("New electric service to new SF residence on rack", E, "Residential", "New")


def test_a_sign_is_about_nothing_that_stands_on_it() -> None:
    assert about("Wall sign for POOLS & SOLAR", E, "Sign Permit", "Wall") == {"sign"}


def test_a_driveway_is_not_about_the_house_behind_it() -> None:
    text = "Construct new driveway approach. New 2-story single-family residence, covered porch"
    assert about(text, PermitTypeMapped.DRIVEWAY_AND_SIDEWALK) == {"driveway"}


def test_the_porch_of_a_new_house_is_no_deck_permit() -> None:
    text = "New 2-story single-family residence with covered porch, rear patio"
    assert about(text, B, "R- 101 Single Family Houses", "New") == {"new_construction"}


def test_a_pools_concrete_decking_is_no_deck() -> None:
    assert about("New pool and concrete decking", B) == {"pool"}


def test_a_machine_in_a_buildings_class_is_no_new_building() -> None:
    found = about("New generator and its pad", B, "C- 328 Commercial Other Nonresident Bldg", "New")
    assert found == {"generator"}


def test_an_addition_filed_as_new_is_an_addition() -> None:
    found = about("Addn To Exist Bldg To Hold Looms", B, "C- 328 Commercial Other Nonresident Bldg", "New")
    assert found == {"addition"}


def test_a_deck_filed_as_an_addition_adds_no_floor_area() -> None:
    assert about("new wood deck", B, "R- 434 Addition & Alterations", "Addition") == {"deck"}


def test_a_rules_pattern_has_one_group_its_subject() -> None:
    assert {rule.pattern.groups for rule in RULES} == {1}


def test_every_rule_is_of_a_category_of_its_own() -> None:
    told_by_words = [rule.category for rule in RULES]
    assert len(set(told_by_words)) == len(told_by_words)
    assert set(Category) - set(told_by_words) == {Category.SIGN, Category.DRIVEWAY}

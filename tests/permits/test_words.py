"""The closed words keep what callers may rely on."""

from app.permits.words import CATEGORIES_VERSION, CATEGORIES_VERSIONS, DEFINITIONS, Category


def test_every_category_has_a_definition() -> None:
    assert set(DEFINITIONS) == set(Category)


def test_versions_of_the_categories_are_numbered_in_the_order_of_their_days() -> None:
    assert list(CATEGORIES_VERSIONS) == list(range(1, CATEGORIES_VERSION + 1))
    assert sorted(version.since for version in CATEGORIES_VERSIONS.values()) == [
        version.since for version in CATEGORIES_VERSIONS.values()
    ]

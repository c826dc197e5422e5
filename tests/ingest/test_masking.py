"""Phones and e-mail addresses leave a description, and nothing else does."""

import pytest

from app.ingest.masking import mask_contacts


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("contact Ann @ 512 555 0100", "contact Ann @ [phone]"),
        ("contact 512-555-0100 for access", "contact [phone] for access"),
        ("call (512) 555-0100, gate code 12", "call [phone], gate code 12"),
        ("call (512)555-0100. Thanks", "call [phone]. Thanks"),
        ("access @ 1-512-555-0100", "access @ [phone]"),
        ("at 512.555.0100.", "at [phone]."),
        ("pete 512555 0100", "pete [phone]"),
        ("or Ann 512 555 0100 or Bo 512-555-0101", "or Ann [phone] or Bo [phone]"),
        ("CALL AUTOMATED LINE @ 555-0100 FOR INSPECTION", "CALL AUTOMATED LINE @ [phone] FOR INSPECTION"),
        ("call 5125550100", "call [phone]"),
        ("office call 5550100", "office call [phone]"),
        ("service only. 5125550100 Ann", "service only. [phone] Ann"),
        ("level 2 512-5550100", "level 2 [phone]"),
        ("ann.example@mail.example.org or 5125550100.", "[email] or [phone]."),
        ("sign for sale or lease-555-0100", "sign for sale or lease-[phone]"),
        ("mail to ann.example@mail.example.org today", "mail to [email] today"),
    ],
)
def test_what_reaches_a_person_is_masked(text: str, masked: str) -> None:
    assert mask_contacts(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "Replaces expired permit 2009-118697 BP",
        "BP-12-107636 and BP-2011-076289",
        "Refer# 2013022898 BP",
        "permit expired 2013322898W, see 2013322898 BP",
        "meter # 5125550100, PA5125550100, 5121550100",
        "Units-201-1204",
        "valuation 512,555,0100 dollars",
        "$250-1200 range",
        "Units 201-1204 and 305",
        "(ste 200-1500 SF & ste 300-2500 SF)",
        "per LA # 201-1204",
        "12 x 440W modules, 120/240 V",
        "14'-6\" x 12'-0\" deck, 1200 sq ft",
        "units: 101, 102, 103, 1104, 205, 1206",
        "new landing @ grade level",
        "repair gas leak(@NIPPLE) to residence",
        "issued 02/03/2015, final 2015-02-03",
        "Hotel rooms 101-199 and 201- 299",
        "tax id 0242020305",
    ],
)
def test_numbers_of_other_things_stay(text: str) -> None:
    assert mask_contacts(text) == text

"""Takes phone numbers and e-mail addresses out of free text. A name in it cannot be told from other words."""

import re

PHONE_MARK = "[phone]"
EMAIL_MARK = "[email]"

EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}")

# 512-555-0100, (512) 555 0100, 1.512.555.0100, 512555-0100. An area code never begins with 0 or 1, which spares most
# permit numbers.
FULL_PHONE = r"(?<!\d)(?<!\d[-./])(?:\+?1[-. ]{1,2})?\(?[2-9]\d\d\)?[-./ ]{0,3}\d{3}[-. ]{1,3}\d{4}(?![\d-])"
# 555-0100, and "for lease-555-0100".
LOCAL_PHONE = r"(?:(?<![\w/.$-])|(?<=[A-Za-z]{4}-))[2-9]\d\d- ?\d{4}(?![\w-])"
# "Units 201-1204" and "LA # 201-1204" are written like a local number.
NUMBERED_THING = (
    rf"(?i:\b(?:units?|suites?|ste|apts?|rooms?|bldgs?|la|auth|receipt)\b[\s#.:-]{{0,4}}(?:{FULL_PHONE}|{LOCAL_PHONE}))"
)
WRITTEN_PHONE = re.compile(rf"({NUMBERED_THING})|{FULL_PHONE}|{LOCAL_PHONE}")
# Ten digits that stand free: an area code and an exchange as the numbering plan has them, and no year before a number.
FREE_PHONE = re.compile(r"(?<![\w#/.-])(?<!# )(?!20)[2-9]\d\d[-. ]?[2-9]\d{6}(?![\w-])")
# Other digits alone are a phone number only where a word says so: "call 5125550100".
ANNOUNCED_PHONE = re.compile(
    r"(?i)(\b(?:phone|call|cell|contact|tel|fax|ph)\b[^\d\n]{0,20}(?<!\d))1?(?:\d{10}|\d{7})(?!\d)"
)
# How each of these ends, and a permit number does not. What begins with a plain class is the fastest to search.
ENDING = re.compile(r"\d\d\d[-. ]{0,3}\d{4}(?!\d)")
WRITTEN_ENDING = re.compile(r"\d\d\d[-. ]{1,3}\d{4}(?!\d)")


def mask_contacts(text: str) -> str:
    """Give ``text`` with ``[phone]`` and ``[email]`` in place of what would reach a person."""
    if "@" in text:
        text = EMAIL.sub(EMAIL_MARK, text)
    if ENDING.search(text):
        if WRITTEN_ENDING.search(text):
            text = WRITTEN_PHONE.sub(lambda found: found[1] or PHONE_MARK, text)
        text = ANNOUNCED_PHONE.sub(rf"\1{PHONE_MARK}", text)
        text = FREE_PHONE.sub(PHONE_MARK, text)
    return text

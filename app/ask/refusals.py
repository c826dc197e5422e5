"""What is said where a question is not answered: a plain no with what permits can tell, or a question back."""

TELLS = "They tell what was permitted, where, when, and at what stated cost."
DECLINES = {
    "price": f"Permits say nothing about prices or rents. {TELLS}",
    "income": f"Permits say nothing about incomes. {TELLS}",
    "cause": "Permits do not say why something happens. They tell how many there were, by year, kind and place.",
    "forecast": "Permits say nothing about the future. They tell how many there were in each year until now.",
    "advice": "This service gives no advice. It tells which permits there are, where, when, and at what stated cost.",
    "person": "Names, phones and addresses of persons are not kept here. Permits can be found by place, kind and date.",
    "crime": f"Permits say nothing about crime. {TELLS}",
    "school": f"Permits say nothing about how good schools are. {TELLS}",
    "population": f"Permits do not say how many people live somewhere. {TELLS}",
    "weather": f"Permits say nothing about the weather. {TELLS}",
    "other_city": "That city's register is not loaded here. Loaded: {cities}.",
    "off_topic": "This service answers questions about building permits: how many, where, when, for what, what cost.",
}
"""By topic. ``{cities}`` is filled with the titles of those loaded."""

UNCLEAR = (
    "It is not clear which permits are meant. "
    "Ask for example: how many solar permits were issued in 2015 within 800 m of an address?"
)
UNREAD = '"{words}" is not understood here. Ask in other words, or for one thing at a time.'
TOGETHER = "Permits of two kinds at once cannot be asked for yet: ask for {kinds}."
PLACELESS = "A place is missing: give an address, a ZIP, coordinates, or send lat and lng with the question."
NEGATED = '"{word}" is not understood here: ask for what is wanted, without leaving something out.'
TOO_WIDE = "A circle here ends at {radius_m:,} m: ask for that or less, or for a ZIP."
UNKNOWN_ADDRESS = "{address} is not in the register."
UNKNOWN_PLACE = "{text} is no place that is known here: say an address, a ZIP, a district or a region that is loaded."
AMBIGUOUS_ADDRESS = "{address} is not one place in the register."
AMBIGUOUS_PLACE = '"{text}" may be more than one place here.'
WHOLE_STREET = "{street} is a street of many blocks: say which one, a house number or a crossing."
AREA_NOT_POINT = "{region} is an area, and a circle needs a point: ask for permits in it, or near an address."
CONTESTED = "It is not clear what of the question before this changes: ask the whole question."

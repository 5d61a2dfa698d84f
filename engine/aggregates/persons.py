"""Whether two names may be one person's: asked by every step that takes somebody other than who wrote, asked or published.

Names are what people call themselves; the engine has no list of them. So this keeps out slips and what no reader could see, and
no more: letters that look alike in two alphabets (a Cyrillic one in a Latin name), initials and nicknames are other names.
"""

from __future__ import annotations

import unicodedata

# What is drawn as nothing although it is neither a control nor a format character: those of Default_Ignorable_Code_Point in Unicode's
# DerivedCoreProperties, and the empty Braille pattern. First and last of each range.
_UNSEEN = (
    (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2065, 0x2065), (0x2800, 0x2800),
    (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0xE0000, 0xE0FFF),
)  # fmt: skip
_CONTROLS = frozenset({"Cc", "Cf"})


def same_person(one: str | None, other: str | None) -> bool:
    """Whether the names are the same but for width, case, spaces and what nobody sees. A name of which nothing is seen may be
    anybody's. False where either is missing.
    """
    if one is None or other is None:
        return False
    first, second = _folded(one), _folded(other)
    return first == second or not first or not second


def _folded(name: str) -> str:
    # What is unseen goes first, since it would keep a letter and its accent apart.
    seen = "".join(each for each in name if each.isspace() or not _is_unseen(each))
    folded = unicodedata.normalize("NFKD", seen).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def _is_unseen(character: str) -> bool:
    point = ord(character)
    return unicodedata.category(character) in _CONTROLS or any(first <= point <= last for first, last in _UNSEEN)

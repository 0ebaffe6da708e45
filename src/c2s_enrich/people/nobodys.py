"""Contacts that are nobody's: numbers of services, made-up numbers, mailboxes that anyone opens."""

import re

# Anybody may call them, nobody owns them: 0800, 0300, 0303, 0500, 0900; no DDD begins so.
SERVICE = re.compile(r"(?:800|300|303|500|900)\d{6,7}")

THROWAWAY = {
    "10minutemail.com", "dispostable.com", "fakeinbox.com", "getnada.com", "guerrillamail.com",
    "maildrop.cc", "mailinator.com", "mailnesia.com", "sharklasers.com", "temp-mail.org",
    "tempmail.com", "throwawaymail.com", "trashmail.com", "yopmail.com",
}  # fmt: skip

FAKE_LOCAL = re.compile(
    r"teste?\d*|testando\d*|asdf\w*|qwerty\d*|n[aã]o[._-]?(tem|tenho|possui|informado|informou)\w*|"
    r"sem[._-]?e?-?mail\w*|fake\d*|seu[._-]?e?-?mail|n[aã]o|x{3,}",
    re.ASCII | re.IGNORECASE,
)


def is_fake(national: str) -> bool:
    """One digit all through, or counting up or down. Not by its beginning: 99 is Maranhão's DDD."""
    subscriber = national[2:] if len(national) in (10, 11) else national
    if len(national) < 8:
        return False
    # The subscriber's first digit says landline or mobile; 90… is given out to nobody.
    made_up = len(set(subscriber[1:])) == 1 or (len(national) == 11 and subscriber[:2] == "90")
    return national.startswith("00000") or made_up or is_run(national)


def is_run(text: str) -> bool:
    """One character four times or more, or six or more digits counting up or down."""
    if len(text) >= 4 and len(set(text)) == 1:
        return True
    counting = text in "0123456789" * 3 or text in "9876543210" * 3
    return len(text) >= 6 and text.isdigit() and counting

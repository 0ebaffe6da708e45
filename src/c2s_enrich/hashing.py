"""Keyed hashes: two texts can be compared without keeping either, and nobody without HASH_KEY can
guess what was hashed. While a key is replaced, what is stored may have been made with
HASH_KEY_PREVIOUS: each hash names its key, and a message's ref, too short for that, is looked for
under both. Pollers and ops hold the key, web never does.
"""

import hmac
from typing import Literal

from c2s_enrich.options import Secret

# Each purpose has hashes of its own: the same text under two of them looks unrelated.
Purpose = Literal["ref", "fingerprint", "account", "suppression", "erased", "key"]


class HashKeys:
    def __init__(self, current: Secret, previous: Secret | None = None) -> None:
        self._keys = tuple(key.reveal().encode() for key in (current, previous) if key)
        # What names a key without giving it away; HASH_KEY's first.
        self.ids = tuple(digest.hex()[:8] for digest in self.digests("key", "id"))

    def digests(self, purpose: Purpose, text: str) -> tuple[bytes, ...]:
        """32 bytes under HASH_KEY, then under HASH_KEY_PREVIOUS where there is one."""
        data = f"{purpose}\n{text}".encode(errors="surrogatepass")
        return tuple(hmac.digest(key, data, "sha256") for key in self._keys)

    def hashes(self, purpose: Purpose, text: str) -> tuple[str, ...]:
        """The same as text "key id:64 hex digits". Store the first, compare with each."""
        digests = self.digests(purpose, text)
        return tuple(f"{i}:{d.hex()}" for i, d in zip(self.ids, digests, strict=True))

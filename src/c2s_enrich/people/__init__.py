"""The nouns: CPF, contact, lead, candidate, profile. Pure values; nothing here does I/O."""

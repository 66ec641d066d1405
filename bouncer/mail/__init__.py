"""The nouns of mail: address, enhanced status, reply, and the message itself. Pure; no I/O."""

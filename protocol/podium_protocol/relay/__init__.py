"""The conversation with one relay, without I/O (NIP-01, NIP-42)."""

"""The mirror: the relays' events that count, under the rules of NIP-01, NIP-09 and NIP-40."""

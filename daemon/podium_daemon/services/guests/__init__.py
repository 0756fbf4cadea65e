"""People without a signer: guests by name, and guests by a personal link."""

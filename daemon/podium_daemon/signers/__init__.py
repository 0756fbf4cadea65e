"""Signers: a local key file, or a remote signer (NIP-46), behind one interface."""

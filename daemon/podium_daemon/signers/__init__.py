"""Who signs: a local key file today, a remote signer later, behind one interface."""

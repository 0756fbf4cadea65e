"""One module per NIP, named after it."""

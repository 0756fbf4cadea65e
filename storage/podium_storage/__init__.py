"""An IndexedDB-like store on aiosqlite: the model's tables, the mirror of events, outbox and ledger."""

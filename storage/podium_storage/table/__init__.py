"""The IndexedDB-like store: declared tables, Dexie's grammar, queries and live queries."""

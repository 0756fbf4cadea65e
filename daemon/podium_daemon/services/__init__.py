"""The daemon's services. They do not import each other: they meet in the store and its change feed."""

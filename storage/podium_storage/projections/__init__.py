"""Rows derived from events, in the transaction that stores them."""

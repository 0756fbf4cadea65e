"""Conferences: one engine interface (`engine`), its engines, and the model's calling service on top (`service`)."""

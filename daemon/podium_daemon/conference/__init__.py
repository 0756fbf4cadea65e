"""Where people meet: one engine interface (`base`), its engines, and the model's calling service on top (`service`)."""

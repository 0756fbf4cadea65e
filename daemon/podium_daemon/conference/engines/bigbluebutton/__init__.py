"""BigBlueButton: rooms of a separate server, entered by signed addresses."""

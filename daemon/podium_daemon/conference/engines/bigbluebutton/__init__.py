"""BigBlueButton: rooms of a server that somebody else runs, entered by signed addresses."""

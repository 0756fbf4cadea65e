"""Coverage-guided fuzzing (atheris) of everything that reads bytes of strangers: `make fuzz`."""

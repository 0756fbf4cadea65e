"""One TOML file, the environment and flags, read into one frozen, checked value."""

from podium_daemon.config.changes import changed_keys, needs_restart, restart_keys, value_of
from podium_daemon.config.example import (
    effective_toml,
    effective_values,
    example_toml,
    purpose_of,
    shown_default,
    starting_toml,
)
from podium_daemon.config.loading import load_config
from podium_daemon.config.model import FIELDS, Config, default_config_file
from podium_daemon.config.problems import ConfigError, Problem
from podium_daemon.config.reminders import Offset, Reminders
from podium_daemon.config.sections import (
    Attendance,
    Conference,
    Embedded,
    Identity,
    Instructors,
    Lifecycle,
    Logging,
    Recording,
    Relay,
    Storage,
    Web,
)
from podium_daemon.config.values import format_duration, parse_duration

__all__ = [
    "FIELDS",
    "Attendance",
    "Conference",
    "Config",
    "ConfigError",
    "Embedded",
    "Identity",
    "Instructors",
    "Lifecycle",
    "Logging",
    "Offset",
    "Problem",
    "Recording",
    "Relay",
    "Reminders",
    "Storage",
    "Web",
    "changed_keys",
    "default_config_file",
    "effective_toml",
    "effective_values",
    "example_toml",
    "format_duration",
    "load_config",
    "needs_restart",
    "parse_duration",
    "purpose_of",
    "restart_keys",
    "shown_default",
    "starting_toml",
    "value_of",
]

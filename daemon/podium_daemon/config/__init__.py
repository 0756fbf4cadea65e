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
from podium_daemon.config.problems import ConfigError, ConfigProblem
from podium_daemon.config.reminders import EnabledOffset, RemindersSection
from podium_daemon.config.sections import (
    AttendanceSection,
    Conference,
    Embedded,
    IdentitySection,
    InstructorsSection,
    LifecycleSection,
    Logging,
    RecordingSection,
    RelaySection,
    Storage,
    Web,
)
from podium_daemon.config.values import format_duration, parse_duration

__all__ = [
    "FIELDS",
    "AttendanceSection",
    "Conference",
    "Config",
    "ConfigError",
    "ConfigProblem",
    "Embedded",
    "EnabledOffset",
    "IdentitySection",
    "InstructorsSection",
    "LifecycleSection",
    "Logging",
    "RecordingSection",
    "RelaySection",
    "RemindersSection",
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

"""The cases, by topic: functions named `case_...` that use the public names of `equinox`."""

"""Programs on downstream packages: `<package>_programs.py` holds those of one, by name."""

"""The commands: arguments to settings to one call. Nothing heavy is imported before parsing."""

"""The config models that all commands share."""

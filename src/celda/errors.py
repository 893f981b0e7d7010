"""The errors that speak to the user: what was given, why it cannot work, what to write instead."""


class CeldaError(ValueError):
    """Bad input, met at the door. The command line prints its message as one line and exits with status 1."""

"""The one exception that a user's mistake raises; the CLI prints its sentence and exits with 2."""


class UserError(Exception):
    """What is wrong, where, and what to do, in one sentence. Never a bug: those keep their stack trace."""

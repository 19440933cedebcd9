"""Errors meant for the person who typed the command. Standard library alone."""


class UserError(Exception):
    """A fault in what the user gave: one sentence that names the flag or file, what was wrong, and what to do."""


class ImageError(UserError):
    """A file that cannot be read as a picture."""

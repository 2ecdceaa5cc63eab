"""Importing this prints."""

print("{\"not\": \"an answer\"}")


class Chatty:
    """Is fine; its module prints while it is imported."""

    def __init__(self, config, context):
        pass

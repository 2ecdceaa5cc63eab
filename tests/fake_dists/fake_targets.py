"""Classes that the fake plugins point to."""

from types import SimpleNamespace


class Good:
    """Is constructed as every plugin is."""

    def __init__(self, config, context):
        self.config = config
        self.tasks = {"lesion": SimpleNamespace(description="anything bright")}


class Failing:
    """Cannot be constructed."""

    def __init__(self, config, context):
        raise RuntimeError("the constructor fails")

"""Classes that the fake plugins point to."""

from types import SimpleNamespace


class Good:
    """Is constructed as every plugin is, and has what a dataset and a recipe need."""

    def __init__(self, config, context):
        self.config = config
        self.tasks = {"lesion": SimpleNamespace(description="anything bright")}

    def cases(self):
        return []

    def load(self, case):
        raise NotImplementedError

    def run(self, trial):
        raise NotImplementedError


class Failing:
    """Cannot be constructed."""

    def __init__(self, config, context):
        raise RuntimeError("the constructor fails")

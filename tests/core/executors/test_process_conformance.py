"""Core's process executor keeps the contract that it asks of others."""

from medscale.executors.specs import PROCESS
from medscale.testing import ExecutorTests


class TestProcess(ExecutorTests):
    spec = PROCESS

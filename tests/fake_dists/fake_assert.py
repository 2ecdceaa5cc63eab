"""Importing this fails an assertion, which stevedore lets abort a whole scan."""

assert 1 + 1 == 3, "arithmetic is off"

"""Importing this fails."""

import a_module_that_is_nowhere

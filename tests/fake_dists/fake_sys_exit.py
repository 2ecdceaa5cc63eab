"""Importing this asks Python to end."""

import sys

sys.exit("no licence found")

"""Importing this ends Python with status 0, as if all were well."""

import sys

sys.exit(0)

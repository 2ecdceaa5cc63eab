"""Importing this kills Python, as a faulty extension module does."""

import os

os.abort()

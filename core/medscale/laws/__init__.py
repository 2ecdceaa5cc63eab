"""Scaling laws of errors: fits, forecasts with intervals, and comparisons, on plain arrays."""

from medscale.laws.forecast import Required
from medscale.laws.law import Fit, fit, fit_cases
from medscale.laws.measure import Measure

__all__ = ["Fit", "Measure", "Required", "fit", "fit_cases"]

"""Cases, prepared cohorts, splits and public data sets."""

"""Tables and figures, derived from a run folder."""

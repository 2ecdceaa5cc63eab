"""From a study's description to trial records."""

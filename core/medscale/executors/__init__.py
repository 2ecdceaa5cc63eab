"""The executors that come with core; others are plugins."""

"""The `medscale` command."""

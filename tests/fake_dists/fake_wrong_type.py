"""The spec is no PluginSpec."""

SPEC = {"kind": "recipe", "name": "wrong_type"}

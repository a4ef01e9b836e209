"""Scenarios: what is changed of a stream between the data and the engine (docs/reference/scenarios.md)."""

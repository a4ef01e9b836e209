"""The replay: one account through one panel, event by event. The only room that knows Numba."""

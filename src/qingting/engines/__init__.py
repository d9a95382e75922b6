"""Engines do the heavy work in worker processes that speak one protocol."""

"""Delivery: claim, call, record."""

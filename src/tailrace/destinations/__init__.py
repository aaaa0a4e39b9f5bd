"""Destinations: a module in this folder is a destination."""

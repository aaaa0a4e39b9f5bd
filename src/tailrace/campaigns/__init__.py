"""Campaigns: what marketers write, loaded strictly."""

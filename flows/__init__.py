"""Timetables: the one place that imports Prefect. What happens is in tailrace.pipeline; here is only when.

Prefect's database holds no state of ours: deleting it changes nothing about who gets what.
"""

from tailrace.settings import prepare_prefect

prepare_prefect()

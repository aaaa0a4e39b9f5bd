-- No rows: nothing is known about the by-load models any more.
truncate warehouse.tailrace.by_load

-- At most one row: what the by-load models hold.
select
    loads_fingerprint,
    project_fingerprint,
    definition
from warehouse.tailrace.by_load

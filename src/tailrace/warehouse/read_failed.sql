-- One row per model of the generation that failed or was not built.
select
    model,
    reason
from warehouse.tailrace.failed

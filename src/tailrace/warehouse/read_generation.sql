-- At most one row: the stamp.
select
    generation_id,
    as_of,
    loads_fingerprint,
    project_fingerprint,
    n_models,
    n_tests
from warehouse.tailrace.generation

-- At most one row: the stamp of a complete build.
create table if not exists warehouse.tailrace.generation (
    generation_id varchar,
    as_of timestamp,
    loads_fingerprint varchar,
    project_fingerprint varchar,
    n_models bigint,
    n_tests bigint
)

-- At most one row: what the models that are incremental by load hold, and which definition wrote them.
-- loads_fingerprint is null while they change.
create table if not exists warehouse.tailrace.by_load (
    loads_fingerprint varchar,
    project_fingerprint varchar,
    definition varchar
)

-- One row per model of the generation that failed or was not built.
create table if not exists warehouse.tailrace.failed (model varchar, reason varchar)

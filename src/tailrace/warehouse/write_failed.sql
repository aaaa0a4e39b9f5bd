-- One row per model that failed or was not built.
insert into warehouse.tailrace.failed
values (?, ?)

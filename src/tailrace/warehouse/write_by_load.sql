-- One row: what the by-load models hold now.
insert into warehouse.tailrace.by_load
values (?, ?, ?)

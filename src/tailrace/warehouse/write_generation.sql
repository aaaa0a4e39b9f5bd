-- One row: the stamp.
insert into warehouse.tailrace.generation
values (?, ?, ?, ?, ?, ?)

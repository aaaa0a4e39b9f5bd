-- No rows: our own bookkeeping in the warehouse.
create schema if not exists warehouse.tailrace

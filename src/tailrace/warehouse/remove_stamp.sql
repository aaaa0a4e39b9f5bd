-- No rows: from here on there is no usable generation.
truncate warehouse.tailrace.generation

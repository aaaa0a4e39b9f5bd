-- One row per model that is incremental by load, and load that it has read (macros/loads.sql).
create table if not exists warehouse.tailrace.loads_read (model varchar, load_id varchar)

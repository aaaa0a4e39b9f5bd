-- One row per row that was given.
insert into {relation} ({columns})
select {columns}
from json_populate_recordset(null::{relation}, %(documents)s::json)

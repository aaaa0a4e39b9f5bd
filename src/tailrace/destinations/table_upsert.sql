-- One row per row that was not there, or not as it should be; what is as it should be is not written again.
insert into {relation} as present ({columns})
select {columns}
from json_populate_recordset(null::{relation}, %(documents)s::json)
on conflict ({keys}) do {action}

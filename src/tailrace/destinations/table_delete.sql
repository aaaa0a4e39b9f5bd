-- One row per row that was there and is gone.
with given as (
    select record
    from json_populate_recordset(null::{relation}, %(documents)s::json) as record
)

delete from {relation} as present
using given
where {is_same}

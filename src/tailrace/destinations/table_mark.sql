-- One row per row that was there and is marked as removed; one that was marked before keeps its time.
with given as (
    select record
    from json_populate_recordset(null::{relation}, %(documents)s::json) as record
)

update {relation} as present
set {mark} = (given.record).{mark}
from given
where {is_same} and present.{mark} is null

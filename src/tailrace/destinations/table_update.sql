-- One row per row that is there, by its place in what was given (from 1); it now says what it should.
with given as (
    select document.place, record
    from json_array_elements(%(documents)s::json) with ordinality as document (content, place)
    cross join lateral json_populate_record(null::{relation}, document.content) as record
),

changed as (
    update {relation} as present
    set {assignments}
    from given
    where {is_same} and ({differs})
)

select given.place
from given
inner join {relation} as present on {is_same}

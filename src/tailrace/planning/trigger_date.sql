-- One row per person and day whose moment lies between the parent plan and now. `moments` has the moments by zone.
select
    born.person_id,
    born.day::date::varchar as occurrence,
    moments.moment as due_at,
    '' as tie,
    null::varchar as event,
    null::varchar as object_id,
    null::varchar as refused
from born
inner join zones on zones.person_id = born.person_id
inner join moments on moments.zone = zones.zone and moments.day = born.day
where moments.moment > $parent_as_of and moments.moment <= $as_of

-- One row per person whose attribute is not what the parent plan kept.
select
    people.person_id,
    $occurrence as occurrence,
    $as_of::timestamp as due_at,
    '' as tie,
    null::varchar as event,
    null::varchar as object_id,
    coalesce(
        $refused::varchar,
        case when people.person_id in (select person_id from merged_now) then 'merge' end
    ) as refused
from wh.core.dim_people as people
left join watching on watching.key = people.person_id::varchar
left join watched on watched.key = people.person_id::varchar
where watching.value is distinct from watched.value
    and ($from is null or watched.value = $from)
    and ($to is null or watching.value = $to)

-- One row per person of an object that is in the object segment and was not, or the other way round.
select
    belongs.person_id,
    moved.key || ':' || $as_of_text as occurrence,
    $as_of::timestamp as due_at,
    '' as tie,
    null::varchar as event,
    moved.key as object_id,
    $refused::varchar as refused
from (
    select coalesce(watching.key, watched.key) as key
    from watching
    full outer join watched on watched.key = watching.key
    where case $change
        when 'entered' then watching.value is not null and watched.value is null
        else watching.value is null and watched.value is not null
    end
) as moved
inner join wh.core.fct_object_people as belongs on belongs.object_id = moved.key and belongs.object = $object

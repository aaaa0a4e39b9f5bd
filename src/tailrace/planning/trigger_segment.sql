-- One row per person whom the segment's changes name; refused says why a change of that cause starts nothing.
select
    person_id,
    $occurrence as occurrence,
    $as_of::timestamp as due_at,
    '' as tie,
    null::varchar as event,
    null::varchar as object_id,
    case cause
        when 'definition' then 'held_definition'
        when 'history' then 'history'
        when 'baseline' then 'baseline'
        when 'merge' then 'merge'
    end as refused
from changes
where segment = $segment and change = $change

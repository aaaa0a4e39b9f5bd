-- What the passes of `going` do at their steps: a row per arrival, per deed, and per pass that is over.
select
    pass,
    place,
    from_place,
    'move' as kind,
    why,
    null as name,
    due_at
from going
where why is not null
union all
select
    going.pass,
    going.place,
    null,
    steps.deed,
    null,
    case when steps.deed = 'assign' then going.way end,
    going.due_at
from going
inner join steps on steps.place = going.place
where going.does
union all
select
    going.pass,
    null,
    going.place,
    'move',
    ways.why,
    null,
    going.leaves_due_at
from going
inner join ways on ways.place = going.place and ways.way = going.way
where ways.leads_to is null

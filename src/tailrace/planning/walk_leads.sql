-- One row per pass of `going` that comes to another step.
select
    going.pass,
    ways.leads_to as place,
    going.place as from_place,
    ways.why,
    $as_of::timestamp as arrived_at,
    going.leaves_due_at as due_at,
    going.is_considered
from going
inner join ways on ways.place = going.place and ways.way = going.way
where ways.leads_to is not null

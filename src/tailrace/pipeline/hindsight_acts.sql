-- One row per act that a plan of the branch does, and no plan before it has.
insert into acts by name
with numbers as (
    select
        greatest(
            (select coalesce(max(seq), 0) from was_acts),
            (select coalesce(max(seq), 0) from acts)
        ) as top
)

select
    numbers.top + row_number() over (order by planned.intent_id, planned.kind, planned.name) as seq,
    planned.intent_id,
    $plan_id as plan_id,
    planned.person_id,
    planned.campaign,
    planned.step,
    planned.kind,
    planned.name,
    planned.value,
    $as_of::timestamp as acted_at,
    null::integer as settled
from planned_acts as planned
cross join numbers
where not exists (
    select 1
    from acts as held
    where held.intent_id = planned.intent_id and held.kind = planned.kind and held.name = planned.name
)

-- One row per message or call that a plan of the branch sends, and no plan before it has: what apply would write.
insert into intents by name
with numbers as (
    select
        greatest(
            (select coalesce(max(seq), 0) from was_intents),
            (select coalesce(max(seq), 0) from intents)
        ) as top
)

select
    numbers.top + row_number() over (order by planned.intent_id) as seq,
    planned.intent_id,
    $plan_id as plan_id,
    planned.campaign,
    planned.version,
    planned.step,
    planned.enrollment_id,
    planned.person_id,
    planned.channel,
    planned.message,
    planned.class,
    planned.priority,
    planned.deliver_after,
    planned.expires_at,
    $as_of::timestamp as applied_at,
    null::boolean as is_real,
    false as is_past,
    null::integer as settled
from {verdicts} as planned
cross join numbers
where planned.verdict = 'send'
    and not exists (
        select 1
        from planned_acts
        where planned_acts.intent_id = planned.intent_id
    )
    and not exists (
        select 1
        from intents as held
        where held.intent_id = planned.intent_id
    )

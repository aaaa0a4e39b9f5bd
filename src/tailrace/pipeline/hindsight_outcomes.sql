-- One row per outcome that becomes known: recorded before $until, or assumed of what was to leave before it.
insert into outcomes by name
with fresh as (
    select
        was.* exclude (seq),
        was.seq as was_seq
    from was_outcomes as was
    where was.recorded_at < $until
        and exists (
            select 1
            from intents
            where intents.intent_id = was.intent_id and intents.is_real
        )
        and not exists (
            select 1
            from outcomes as known
            where known.was_seq = was.seq
        )
    union all by name
    select
        intent_id,
        person_id,
        campaign,
        step,
        channel,
        1 as attempt,
        'accepted' as outcome,
        'assumed' as code,
        'assumed' as destination,
        null as provider_id,
        greatest(applied_at, deliver_after) as recorded_at,
        null as was_seq
    from intents
    where not is_real
        and greatest(applied_at, deliver_after) < $until
        and not exists (
            select 1
            from outcomes as known
            where known.intent_id = intents.intent_id
        )
),

-- The branch numbers above whatever the journal has: both are read by "after".
numbers as (
    select
        greatest(
            (select coalesce(max(seq), 0) from was_outcomes),
            (select coalesce(max(seq), 0) from outcomes)
        ) as top
)

select
    case
        when $is_first then was_seq
        else numbers.top + row_number() over (order by was_seq nulls last, recorded_at, intent_id)
    end as seq,
    fresh.*,
    null::integer as settled
from fresh
cross join numbers

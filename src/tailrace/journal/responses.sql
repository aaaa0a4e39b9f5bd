-- One row per webhook step whose outcome is known, in outcomes after $after, oldest first: its answer, if it had one.
select
    outcomes.seq,
    intents.intent_id,
    intents.enrollment_id,
    intents.step,
    responses.status_code,
    responses.body,
    outcomes.recorded_at
from intents indexed by intents_to_call
inner join outcomes on outcomes.item_id = intents.intent_id
left join responses on responses.intent_id = intents.intent_id
where intents.channel = 'webhook'
    and outcomes.seq > $after
    and outcomes.outcome in ('accepted', 'rejected', 'expired', 'cancelled')
order by outcomes.seq

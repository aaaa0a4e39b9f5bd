-- One row per intent applied after $after, oldest first.
select
    intents.seq,
    intents.intent_id,
    intents.plan_id,
    intents.campaign,
    intents.version,
    intents.step,
    intents.enrollment_id,
    intents.person_id,
    intents.channel,
    intents.message,
    intents.class,
    intents.priority,
    intents.deliver_after,
    intents.expires_at,
    plans.applied_at
from intents
inner join plans on plans.plan_id = intents.plan_id
where intents.seq > $after
order by intents.seq

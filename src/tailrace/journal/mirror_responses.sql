-- One row per answer to a webhook step after $after, oldest first: its status, never what it said.
select
    responses.seq,
    responses.intent_id,
    intents.person_id,
    intents.campaign,
    responses.enrollment_id,
    responses.step,
    responses.status_code,
    responses.recorded_at
from responses
inner join intents on intents.intent_id = responses.intent_id
where responses.seq > $after
order by responses.seq

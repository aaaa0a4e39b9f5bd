-- One row per answer that becomes known, without what it said: as the mirror has it.
insert into responses by name
select
    answered.seq,
    answered.intent_id,
    intents.person_id,
    intents.campaign,
    answered.enrollment_id,
    answered.step,
    answered.status_code,
    answered.recorded_at,
    null::integer as settled
from answered
inner join outcomes as known on known.seq = answered.seq
inner join intents on intents.intent_id = answered.intent_id
where known.settled is null
    and answered.status_code is not null

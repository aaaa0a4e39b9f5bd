-- One row per webhook step whose outcome becomes known: with its answer, or an assumed one of status 200.
insert into answered by name
select
    known.seq,
    was.intent_id,
    was.enrollment_id,
    was.step,
    was.status_code,
    was.body,
    was.recorded_at
from outcomes as known
inner join was_answered as was on was.seq = known.was_seq
where known.settled is null
union all
select
    known.seq,
    intents.intent_id,
    intents.enrollment_id,
    intents.step,
    200 as status_code,
    null as body,
    known.recorded_at
from outcomes as known
inner join intents on intents.intent_id = known.intent_id
where known.settled is null
    and known.was_seq is null
    and intents.channel = 'webhook'

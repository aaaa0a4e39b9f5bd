-- One row per intent that is to be sent: what its template needs, as it was at as_of.
select
    verdicts.intent_id,
    verdicts.person_id,
    verdicts.campaign,
    verdicts.step,
    verdicts.channel,
    prepared.address,
    prepared.message_key,
    prepared.data
from verdicts
inner join prepared on prepared.intent_id = verdicts.intent_id
where verdicts.verdict = 'send'
order by verdicts.intent_id

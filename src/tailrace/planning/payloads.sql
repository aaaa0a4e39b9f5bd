-- One row per intent that is to be sent: what its template needs, as it was at as_of.
select
    verdicts.intent_id,
    verdicts.person_id,
    verdicts.campaign,
    verdicts.step,
    verdicts.channel,
    prepared.address,
    prepared.message_key,
    prepared.data,
    case when waiting.intent_id is not null then json_object(
        'zone', waiting.zone,
        'days', waiting.days,
        'from', waiting.from_minute,
        'to', waiting.to_minute,
        'quiet_days', waiting.quiet_days,
        'quiet_from', waiting.quiet_from,
        'quiet_to', waiting.quiet_to
    )::varchar end as hours
from verdicts
inner join prepared on prepared.intent_id = verdicts.intent_id
left join waiting on waiting.intent_id = verdicts.intent_id
where verdicts.verdict = 'send'
order by verdicts.intent_id

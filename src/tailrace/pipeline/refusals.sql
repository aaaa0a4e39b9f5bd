-- One row per refused message whose code says something of its person: the receipt that tells it, once per message.
select
    'track' as type,
    sha256(concat_ws(chr(31), 'refusal', outcomes.intent_id)) as "messageId",
    concat(outcomes.channel, '_', told.kind) as event,
    'provider' as "anonymousId",
    strftime(min(outcomes.recorded_at), '%Y-%m-%dT%H:%M:%S.%fZ') as timestamp,
    json_object('intent_id', outcomes.intent_id, 'code', outcomes.code, 'by', 'refusal') as properties
from read_parquet($files) as outcomes
inner join told on outcomes.code = told.code
where outcomes.outcome = 'rejected'
    and outcomes.channel in ('email', 'sms', 'whatsapp', 'push')
group by outcomes.intent_id, outcomes.channel, outcomes.code, told.kind
order by outcomes.intent_id

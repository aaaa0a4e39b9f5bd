-- One row per person, channel, topic and class ('' is any) that must not be written to, with the reason.
select
    person_id,
    channel,
    '' as topic,
    '' as class,
    'suppressed' as reason
from wh.core.dim_suppressions
union
select
    person_id,
    channel,
    topic,
    'marketing' as class,
    case when topic = '' then 'unsubscribed' else 'unsubscribed_topic' end as reason
from wh.core.dim_consents
where state = 'unsubscribed'

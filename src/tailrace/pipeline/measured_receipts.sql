-- One row per message, channel and kind of receipt that landed for it: whether a human, or a machine, is behind it.
create temp table receipts as
with told as (
    select
        json_extract_string(properties, '$.intent_id') as intent_id,
        regexp_extract(event, '^(email|sms|whatsapp|push)_', 1) as channel,
        regexp_extract(event, '_(.*)$', 1) as kind,
        coalesce(lower(trim(json_extract_string(properties, '$.is_machine'))), '') in ('true', '1', 'yes') as is_machine
    from {events}
    where type = 'track'
        and event in (
            'email_delivered', 'email_opened', 'email_clicked', 'email_bounced', 'email_complained',
            'email_unsubscribed', 'sms_delivered', 'sms_opened', 'sms_clicked', 'sms_bounced', 'sms_complained',
            'sms_unsubscribed', 'whatsapp_delivered', 'whatsapp_opened', 'whatsapp_clicked', 'whatsapp_bounced',
            'whatsapp_complained', 'whatsapp_unsubscribed', 'push_delivered', 'push_opened', 'push_clicked',
            'push_bounced', 'push_complained', 'push_unsubscribed'
        )
)

select
    intent_id,
    channel,
    kind,
    bool_or(not is_machine) as by_human,
    bool_or(is_machine) as by_machine
from told
group by intent_id, channel, kind

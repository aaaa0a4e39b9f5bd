-- One row per step and message of a campaign: how many of it, how many of these were sent, and what receipts say.
with said as (
    select
        intent_id,
        bool_or(kind = 'delivered') as delivered,
        bool_or(kind = 'opened' and by_human) as opened,
        bool_or(kind = 'opened' and by_machine) as machine_opened,
        bool_or(kind = 'clicked' and by_human) as clicked,
        bool_or(kind = 'bounced') as bounced,
        bool_or(kind = 'complained') as complained,
        bool_or(kind = 'unsubscribed') as unsubscribed
    from receipts
    group by intent_id
)

select
    sent.step,
    sent.message,
    sent.channel,
    count(*) as planned,
    count(sent.sent_at) as sent,
    count(*) filter (where said.delivered) as delivered,
    count(*) filter (where said.opened) as opened,
    count(*) filter (where said.machine_opened and not said.opened) as machine_opened,
    count(*) filter (where said.clicked) as clicked,
    count(*) filter (where said.bounced) as bounced,
    count(*) filter (where said.complained) as complained,
    count(*) filter (where said.unsubscribed) as unsubscribed,
    count(*) filter (where passes.goal_at > sent.sent_at) as converted
from sent
left join said on said.intent_id = sent.intent_id
left join passes on passes.enrollment_id = sent.enrollment_id
where sent.campaign = $campaign
group by all

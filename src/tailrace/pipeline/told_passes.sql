-- One row per message that the runs say: the pass that it belongs to, when it was due there, and the event (of the name
-- that the campaign's trigger asks for) that began the pass, if one did.
-- said: messages of the runs; kept: their passes, as the last run left them; asked: each campaign's event; expiries: of
-- each version.
with beginning as (
    select
        kept.enrollment_id,
        min({'source': events.source, 'event_id': events.event_id}) as began
    from kept
    inner join asked on asked.campaign = kept.campaign
    inner join wh.core.fct_events as events
        on events.event_at = kept.entered_at
            and events.event = asked.event
            and events.type = 'track'
            and events.properties is not distinct from kept.event
            and (events.person_id = kept.person_id or events.group_id = kept.object_id)
    group by kept.enrollment_id
)

select
    said.intent_id,
    said.step,
    kept.enrollment_id,
    kept.campaign,
    kept.person_id,
    kept.occurrence,
    kept.entered_at,
    said.expires_at - to_seconds(expiries.expires) as due_at,
    kept.object_id,
    -- What began it and cannot be found is named '': the plan refuses the pass, for its messages would lack their data.
    case when kept.event is not null then coalesce(beginning.began.source, '') end as source,
    case when kept.event is not null then coalesce(beginning.began.event_id, '') end as event_id
from said
inner join kept on kept.enrollment_id = said.enrollment_id and kept.campaign = said.campaign
inner join expiries on expiries.campaign = said.campaign and expiries.version = said.version
left join beginning on beginning.enrollment_id = kept.enrollment_id

-- One row per person and channel that marketing was sent to by as_of: what they made of it, and how much is unanswered.
-- Opening or clicking, by a human, answers everything sent before; so does the person's own yes.
with engaged as (
    select
        person_id,
        channel,
        max(event_at) as engaged_at
    from {{ ref('fct_receipts') }}
    where event_at <= {{ as_of() }}
        and kind in ('opened', 'clicked')
        and is_human
        and person_id is not null
    group by person_id, channel
),

agreed as (
    select
        person_id,
        channel,
        max(event_at) as agreed_at
    from {{ ref('fct_consent_statements') }}
    where event_at <= {{ as_of() }}
        and says = 'subscribed'
        and kind = 'own'
    group by person_id, channel
),

sends as (
    select
        sent.person_id,
        sent.channel,
        sent.sent_at,
        engaged.engaged_at,
        coalesce(engaged.engaged_at, timestamp '0001-01-01 00:00:00') as heard_at,
        coalesce(everywhere.agreed_at, timestamp '0001-01-01 00:00:00') as agreed_everywhere_at,
        coalesce(here.agreed_at, timestamp '0001-01-01 00:00:00') as agreed_here_at
    from {{ ref('fct_sends') }} as sent
    left join engaged on sent.person_id = engaged.person_id and sent.channel = engaged.channel
    left join agreed as everywhere on sent.person_id = everywhere.person_id and everywhere.channel = ''
    left join agreed as here on sent.person_id = here.person_id and sent.channel = here.channel
    where sent.class = 'marketing'
        and sent.sent_at <= {{ as_of() }}
)

select
    person_id,
    channel,
    max(engaged_at) as engaged_at,
    cast(count(*) as integer) as n_sent,
    cast(
        sum(
            case when sent_at > heard_at and sent_at > agreed_everywhere_at and sent_at > agreed_here_at then 1 else 0 end
        ) as integer
    ) as n_unanswered,
    min(
        case when sent_at > heard_at and sent_at > agreed_everywhere_at and sent_at > agreed_here_at then sent_at end
    ) as unanswered_since
from sends
group by person_id, channel

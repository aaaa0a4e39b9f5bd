-- One row per person and message, action or entry considered, with the first reason that stands against it before caps.
with forbidden as (
    -- The words are in the order in which they count.
    select
        candidates.intent_id,
        list_min(list(list_position(['suppressed', 'unsubscribed', 'unsubscribed_topic'], consents.reason))) as place
    from candidates
    inner join campaign_rules
        on campaign_rules.campaign = candidates.campaign and campaign_rules.version = candidates.version
    inner join consents on consents.person_id = candidates.person_id
    where candidates.class in ('marketing', 'transactional')
        and consents.channel in ('', candidates.channel)
        and consents.topic in ('', coalesce(campaign_rules.topic, ''))
        and consents.class in ('', candidates.class)
    group by candidates.intent_id
),

alone as (
    select
        candidates.intent_id,
        candidates.person_id,
        candidates.campaign,
        candidates.step,
        candidates.channel,
        candidates.class,
        candidates.priority,
        candidates.expires_at,
        campaign_rules.topic,
        campaign_rules.is_draft,
        candidates.class in ('marketing', 'transactional') as is_message,
        lower(prepared.address) as inbox,
        case when opened.intent_id is null then $as_of else opened.opens_at end as opens_at,
        case
            when candidates.refused = 'paused' and candidates.step not in ('(entry)', '(correction)')
                and $as_of > candidates.expires_at
                then null
            -- Waiting for approval is not a refusal: who approves is asked after everything else.
            when candidates.refused <> 'awaiting_approval' then candidates.refused
            when prepared.message_key = '' then 'missing_field:' || prepared.missing
        end as refused,
        case forbidden.place when 1 then 'suppressed' when 2 then 'unsubscribed' when 3 then 'unsubscribed_topic' end
            as forbidden,
        candidates.arm,
        prepared.missing
    from candidates
    left join campaign_rules
        on campaign_rules.campaign = candidates.campaign and campaign_rules.version = candidates.version
    left join prepared on prepared.intent_id = candidates.intent_id
    left join forbidden on forbidden.intent_id = candidates.intent_id
    left join opened on opened.intent_id = candidates.intent_id
),

reasoned as (
    select
        alone.*,
        case
            when refused is not null then refused
            when forbidden is not null then forbidden
            when class = 'marketing' and list_contains($off::varchar[], topic) and not exists (
                select 1 from wh.core.dim_consents as opted
                where opted.person_id = alone.person_id
                    and opted.state = 'subscribed'
                    and opted.topic = alone.topic
                    and opted.channel in ('', alone.channel)
            ) then 'not_subscribed'
            when class = 'marketing' and exists (
                select 1 from sunsets
                where sunsets.person_id = alone.person_id and sunsets.channel = alone.channel
            ) then 'sunset'
            when arm <> 'treated' then arm
            when is_message and inbox is null then 'no_address'
            when missing is not null then 'missing_field:' || missing
            when $as_of > expires_at or (is_message and coalesce(opens_at > expires_at, opens_at is null)) then 'expired'
        end as reason
    from alone
),

placed as (
    select
        *,
        case when is_message and reason is null then first_value(person_id) over (
            partition by campaign, step, inbox, is_message and reason is null order by priority desc, md5(person_id::varchar)
        ) end as winner
    from reasoned
),

alone_in_inbox as (
    select
        * exclude (reason, winner),
        coalesce(reason, case when winner <> person_id then 'duplicate_inbox' end) as reason
    from placed
),

standing as (
    select
        campaign,
        person_id
    from passing
    union
    select
        campaign,
        person_id
    from candidates
    where arm = 'treated' and step <> '(entry)'
)

select
    judged.* exclude (refused, forbidden, missing, reason),
    case
        when judged.reason is not null or judged.class <> 'marketing' then judged.reason
        when exists (
            select 1 from rivals
            inner join standing on standing.campaign = rivals.rival
            where rivals.campaign = judged.campaign and standing.person_id = judged.person_id
        ) then 'exclusive'
    end as reason
from alone_in_inbox as judged

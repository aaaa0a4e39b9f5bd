-- One row per person and message or entry considered, with the first reason that stands against it.
-- The order of the reasons is the order of arbitration: status, consent, holdout, data, one per inbox.
with judged as (
    select
        candidates.intent_id,
        candidates.enrollment_id,
        candidates.campaign,
        candidates.version,
        candidates.step,
        candidates.message,
        candidates.person_id,
        candidates.channel,
        candidates.class,
        candidates.priority,
        candidates.due_at,
        candidates.expires_at,
        payloads.address,
        case
            when candidates.refused is not null then candidates.refused
            when candidates.class = 'marketing' and exists (
                select 1 from suppressed
                where suppressed.person_id = candidates.person_id
            ) then 'unsubscribed'
            when candidates.arm = 'holdout' then 'holdout'
            when payloads.address is null then 'no_address'
            when payloads.missing is not null then 'missing_field:' || payloads.missing
            when $as_of > candidates.expires_at then 'expired'
        end as reason
    from candidates
    left join prepared as payloads on payloads.intent_id = candidates.intent_id
),

placed as (
    select
        intent_id,
        case when reason is null then row_number() over (
            partition by campaign, step, reason is null, lower(address) order by priority desc, md5(person_id::varchar)
        ) end as place
    from judged
)

select
    judged.intent_id,
    judged.enrollment_id,
    judged.campaign,
    judged.version,
    judged.step,
    judged.message,
    judged.person_id,
    judged.channel,
    case
        when coalesce(judged.reason in ('paused', 'awaiting_approval') and judged.step <> '(entry)', false) then 'defer'
        when judged.reason is not null or placed.place > 1 then 'skip'
        else 'send'
    end as verdict,
    coalesce(judged.reason, case when placed.place > 1 then 'duplicate_inbox' end) as reason,
    judged.class,
    judged.priority,
    judged.due_at,
    $as_of as deliver_after,
    judged.expires_at
from judged
inner join placed on placed.intent_id = judged.intent_id

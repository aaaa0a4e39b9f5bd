-- One row per person and message, action or entry considered: send, defer or skip, and the first reason that stands.
with decided as (
    select
        judged.intent_id,
        judged.topic,
        judged.opens_at,
        judged.is_draft and judged.is_message as is_draft,
        coalesce(judged.reason, case when not capped.fits then 'frequency_cap' end) as reason,
        capped.next_at
    from judged
    left join capped on capped.intent_id = judged.intent_id
)

select
    candidates.intent_id,
    candidates.enrollment_id,
    candidates.campaign,
    candidates.version,
    candidates.step,
    candidates.message,
    candidates.person_id,
    candidates.channel,
    case
        when decided.reason is null then 'send'
        when decided.reason in ('paused', 'exclusive', 'frequency_cap') and candidates.step not in ('(entry)', '(correction)')
            then 'defer'
        else 'skip'
    end as verdict,
    coalesce(decided.reason, case when decided.is_draft then 'awaiting_approval' end) as reason,
    candidates.class,
    candidates.priority,
    candidates.due_at,
    case when decided.reason is null then decided.opens_at end as deliver_after,
    candidates.expires_at,
    decided.topic,
    coalesce(case when decided.reason = 'frequency_cap' then decided.next_at end, {next_at}) as next_at
from candidates
inner join decided on decided.intent_id = candidates.intent_id

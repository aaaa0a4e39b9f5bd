-- One row per verdict that something is sent or called, in order; a draft waits for approval. What a plan does to people
-- without calling anybody is among its acts.
select
    verdicts.*,
    coalesce(verdicts.reason = 'awaiting_approval', false) as is_draft
from {verdicts} as verdicts
where verdicts.verdict = 'send'
    and verdicts.intent_id not in (
        select acts.intent_id
        from acts
    )
order by verdicts.intent_id

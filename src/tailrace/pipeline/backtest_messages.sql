-- One row per step that considered somebody: different messages sent, held back, sent after that, and skipped.
with each as (
    select
        step,
        intent_id,
        max(message) as message,
        bool_or(verdict = 'send') as is_sent,
        bool_or(verdict = 'defer') as is_held,
        bool_or(verdict = 'skip') as is_skipped
    from verdicts
    where step not in ('(entry)', '(correction)')
    group by step, intent_id
)

select
    step,
    max(message) as message,
    count(*) filter (where is_sent) as sent,
    count(*) filter (where is_held) as held_back,
    count(*) filter (where is_held and is_sent) as sent_later,
    count(*) filter (where is_skipped) as skipped
from each
group by step

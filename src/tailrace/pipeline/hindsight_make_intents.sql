-- One row per message or action that the branch has sent, or that had been sent before it began.
create table intents as
select
    *,
    true as is_real,
    true as is_past,
    null::integer as settled
from was_intents
where applied_at < $start

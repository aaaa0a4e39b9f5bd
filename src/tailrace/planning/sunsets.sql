-- One row per person and channel with too much unanswered marketing: at least $sends messages, or the oldest $days old.
-- While nobody ever opened or clicked anything, nothing is measured, and silence means nothing.
select
    person_id,
    channel
from wh.core.dim_engagement
where (n_unanswered >= $sends::integer or unanswered_since <= $as_of - to_days($days::integer))
    and exists (select 1 from wh.core.dim_engagement where engaged_at is not null)

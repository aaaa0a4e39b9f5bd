-- One row: when a sender began, claimed or noted something last, null when there never was one. Numbers rise with time, so that no
-- table is read through.
select max(signs.at) as at
from (
    select epochs.started_at as at
    from epochs
    where epochs.epoch = (select max(epoch) from epochs)
    union all
    select attempts.claimed_at as at
    from attempts
    where attempts.seq = (select max(seq) from attempts)
    union all
    select outcomes.recorded_at as at
    from outcomes
    where outcomes.seq = (select max(seq) from outcomes)
) as signs

-- One row per attribute or manual segment of a person that a step changed, on the branch or before it began.
create table acts as
select
    *,
    null::integer as settled
from was_acts
where acted_at < $start

-- One row per outcome that is known on the branch. was_seq: its number in the journal; null: it is assumed.
create table outcomes as
select
    *,
    seq as was_seq,
    null::integer as settled
from was_outcomes
limit 0

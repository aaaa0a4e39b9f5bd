-- One row per webhook step whose outcome is known on the branch.
create table answered as
select *
from was_answered
limit 0

-- grain: one row per stage row; reason is null where it can be landed
create or replace view sorted as
select s.*, coalesce(v.reason, s.why) as reason, v.detail
from stage as s
-- Those that were cleared are left out here: there may be many, and mostly there is nobody else to look among.
left join (select * from verdicts where reason <> '') as v on s.row_no = v.row_no

-- grain: one row per stage row; reason is null where it can be landed
create or replace view sorted as
select s.*, case when v.reason <> '' then v.reason else s.why end as reason, v.detail
from stage as s
left join verdicts as v on s.row_no = v.row_no

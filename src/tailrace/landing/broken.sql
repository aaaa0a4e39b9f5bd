-- grain: one row per staged row that its contract keeps out, and rule that it breaks
insert into broken
with refused as (
    select rowid as row_no, *, {facts} as facts
    from stage
    where why = 'contract_broken' and rowid not in (select row_no from verdicts where reason <> '')
),
found as (
    select row_no, unnest({codes}) as code
    from refused
)
select row_no, code
from found
where code is not null

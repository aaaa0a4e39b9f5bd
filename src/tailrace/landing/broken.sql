-- grain: one row per staged row that could land, and rule of its contract that it breaks
create table broken as
with contracted as (
    select row_no, properties, try_cast(event as contracted) as contracted
    from stage
    where type = 'track' and event in ({events}) and why is null and row_no not in (select row_no from verdicts where reason <> '')
),
asked as (
    select row_no, contracted, {facts} as facts
    from contracted
),
-- Each value once: what is asked of it, it is asked several times.
told as (
    select row_no, contracted, {values}
    from asked
),
found as (
    select row_no, unnest({codes}) as code
    from told
)
select row_no, code
from found
where code is not null

-- grain: one row per open quarantined line that is tried again. Lines may have one file name and one place, in two loads or two
-- folders: a number of its own for the file of each is what tells them apart until the end.
create table taken as
with numbered as (
    select
        *,
        row_number() over (partition by file, header, line, part order by load_seq, quarantine_id) as copy_no
    from ({open})
)
select
    * exclude (copy_no),
    dense_rank() over (order by file, header, copy_no)::integer as file_no
from numbered

-- One row per code by which the destination refuses rows, or their removal: how many, since when, and when the first of
-- them is tried again if it does not change.
select
    case
        when rejected_hash = '' then 'removal'
        when $mode = 'update_only' and split_part(rejected_code, ':', 1) = 'not_found' then 'not there'
        else 'row'
    end as what,
    coalesce(nullif(rejected_code, ''), 'not known') as code,
    count(*) as n_rows,
    min(rejected_at) as since,
    min(rejected_at) + to_hours($patience) as next_at
from acknowledged
where rejected_hash is not null
group by all
order by what, n_rows desc, code

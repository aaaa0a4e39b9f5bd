-- One row: how many rows of `acknowledged` are held, of unknown fate, refused, refused as nothing was there to update, and
-- still there because the destination refused to remove them.
select
    count(*) filter (row_hash <> '?') as acknowledged,
    count(*) filter (rejected_hash <> '' and not ($mode = 'update_only' and split_part(rejected_code, ':', 1) = 'not_found'))
        as rejected,
    count(*) filter (row_hash = '?') as unknown,
    count(*) filter (rejected_hash <> '' and $mode = 'update_only' and split_part(rejected_code, ':', 1) = 'not_found')
        as not_there,
    count(*) filter (rejected_hash = '') as removals_refused
from acknowledged

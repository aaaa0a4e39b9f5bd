-- One row per key of which the campaign watches another value than the parent plan kept.
select
    coalesce(watching.key, watched.key) as key,
    watching.value
from watching
full outer join watched on watched.key = watching.key
where watching.value is distinct from watched.value

-- One row per load that this build may see.
select
    load_id,
    load_seq,
    source,
    is_history,
    landed_at,
    rows as n_rows,
    quarantined as n_quarantined,
    first_event_at,
    last_event_at
from {{ source('landing', 'loads') }}

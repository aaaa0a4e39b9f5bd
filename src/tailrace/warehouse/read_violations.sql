-- One row per source and attribute of a person that it wrote and does not own.
select
    source,
    attribute,
    owner,
    n_events,
    last_event_at
from {database}.reports.rpt_ownership_violations
order by source, attribute

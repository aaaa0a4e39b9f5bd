-- One row per answer to a webhook step that is known on the branch, as the mirror has it.
create table responses (
    seq bigint,
    intent_id varchar,
    person_id bigint,
    campaign varchar,
    enrollment_id varchar,
    step varchar,
    status_code integer,
    recorded_at timestamp,
    settled integer
)

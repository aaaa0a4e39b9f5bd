-- One row per user id that is another's now and consent of whose it is: what waits for delivery may still name it.
select
    merges.person_id,
    consents.channel,
    consents.topic,
    consents.class,
    consents.reason
from consents
inner join merges on merges.into_person_id = consents.person_id

-- Whom a person sent a trial to is not kept, not even as a hash: nothing asks for it, and an erasure would have to find it.
alter table trials drop column address;

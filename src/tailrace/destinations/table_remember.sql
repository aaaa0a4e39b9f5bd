-- One row: a run of rows of a batch that are appended by this transaction.
insert into {batches} (batch_id, first_position, last_position, written_at)
values (%s, %s, %s, %s)

-- Ends a gateway's statement, and with it its transaction, with a code of our own: what it was to
-- write is not written, and the gateway looks why.
create function refuse_batch(code text) returns void language plpgsql as $$
begin
    raise exception using errcode = code, message = 'the batch is refused';
end
$$;

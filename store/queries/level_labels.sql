-- What levels are called.

-- name: add
insert into level_label (scheme, level, valid_from, label_ja, label_en, colour, symbol)
values (%(scheme)s, %(level)s, %(valid_from)s, %(label_ja)s, %(label_en)s, %(colour)s, %(symbol)s)
on conflict do nothing;

-- name: in_force
select distinct on (scheme, level) scheme, level, valid_from, label_ja, label_en, colour, symbol
from level_label
where valid_from <= %(at)s
order by scheme, level, valid_from desc;

-- Goes on with what met its bound.
-- KEYS: state items takers putters parcels joiners outcomes
-- ARGV: name
-- RETURNS: {'done', more}
return { 'done', queue_advance(KEYS, ARGV[1], '') }

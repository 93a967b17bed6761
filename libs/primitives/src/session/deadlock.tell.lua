-- Answers one who asked.
-- KEYS:
-- ARGV: asker question id answer
-- RETURNS: {'told'}
tell(ARGV[1], 'deadlock', ARGV[1], 'tell', caller, ARGV[2], ARGV[3], ARGV[4])
return { 'told' }

"""One script for each change of the tables; those that were released are never edited."""

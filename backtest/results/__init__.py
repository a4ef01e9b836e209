"""From one account's Record to tables, exact books, round trips, metrics and files on disk."""

"""The database: opening it, units of work, and one file of SQL functions for each table. No rules in here."""

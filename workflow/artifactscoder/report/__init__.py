"""The report: one self-contained page over all tables and ledgers of a run."""

"""What a run was made of: records of runs and their differences, pictures, and the run as an RO-Crate."""

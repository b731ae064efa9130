"""The RL stage: from task families to rl_train.parquet and rl_val.parquet."""

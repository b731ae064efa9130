"""The SFT stage: from seed categories to sft_train.parquet."""

"""Training: a tiny model for trials, SFT and GRPO with verl, and the export of their checkpoints."""

"""What a small Slurm says of itself, and what a profile for it asks for."""

from __future__ import annotations

SINFO = """cn01|cpu|idle|16|64000|(null)
cn02|cpu|drained*|16|64000|(null)
gn01|gpu|mixed|64|512000|gpu:h100:4(S:0-1)
gn02|gpu|idle|64|512000|gpu:h100:4(S:0-1),shard:h100:8(S:0)
"""
SHOW = (
    "PartitionName=cpu AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL MaxTime=1-00:00:00 Nodes=cn[01-02] State=UP\n"
    "PartitionName=gpu AllowGroups=ALL AllowAccounts=ml,lab DenyAccounts=bad MaxTime=12:00:00 State=UP\n"
    "PartitionName=old AllowGroups=root AllowAccounts=ALL MaxTime=UNLIMITED Nodes=cn01 State=DOWN\n"
)
LITTLE = {"mem_mb": 500, "gpu": 0, "cpus_per_task": 1, "slurm_partition": "cpu", "runtime": 10}
SMALL = {rule: LITTLE for rule in ("train_cpt", "train_sft", "train_grpo", "train_export", "eval_generate")}
SLURM = {"executor": "slurm", "default-resources": {"slurm_account": "lab", "slurm_partition": "cpu"}}

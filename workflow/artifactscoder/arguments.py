"""The arguments of all subcommands: one flag means the same wherever it stands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

# Arguments that several subcommands share: name -> (flags, options).
ARGUMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "input": ("--input", {"type": Path, "required": True, "help": "table of the step before (Parquet)"}),
    "inputs": ("--input", {"type": Path, "nargs": "+", "required": True, "dest": "inputs", "help": "tables (Parquet)"}),
    "packed": ("--output", {"type": Path, "required": True, "help": "index to write (SHARD.idx)"}),
    "processes": ("--processes", {"type": int, "default": 1, "help": "processes that tokenise, one a core (1)"}),
    "ledger": ("--ledger", {"type": Path, "required": True, "help": "ledger of cpt/pack"}),
    "indices": ("--input", {"type": Path, "nargs": "+", "required": True, "dest": "inputs", "help": "indices (.idx)"}),
    "json_output": ("--output", {"type": Path, "required": True, "help": "file to write (JSON)"}),
    "output": ("--output", {"type": Path, "required": True, "help": "table to write; its ledger stands beside it"}),
    "page_output": ("--output", {"type": Path, "required": True, "help": "page to write (HTML)"}),
    "category": ("--category", {"required": True, "help": "slug of a category in seeds.categories"}),
    "root": ("--root", {"required": True, "help": "slug of a root in seeds.cpt_roots"}),
    "shard": ("--shard", {"type": int, "required": True, "help": "number of the shard, from 0"}),
    "model": ("--model", {"type": Path, "required": True, "help": "model folder in Hugging Face format"}),
    "answering": ("--model", {
        "type": Path, "help": "model folder in Hugging Face format, where no endpoint is asked",
    }),
    "maker": ("--model", {
        "type": Path, "help": "model folder in Hugging Face format (default: the exported GRPO model, or SFT)",
    }),
    "name": ("--name", {"required": True, "help": "what the model is called: base, sft, grpo, or an endpoint's name"}),
    "held_out": ("--val", {"type": Path, "help": "rl_val.parquet, for the sets of eval.tasks that name no file"}),
    "tasks": ("--tasks", {"type": Path, "required": True, "help": "table of eval/tasks"}),
    "scored": ("--scored", {
        "type": Path, "nargs": "*", "default": [], "help": "tables of eval/score, in the order of --input",
    }),
    "browsers": ("--browsers", {"type": int, "default": os.cpu_count(), "help": "browsers at once, one a core"}),
    "prompts": ("--prompts", {"type": Path, "required": True, "help": "table of rl/prompts"}),
    "valid": ("--valid", {"type": Path, "required": True, "help": "table of rl/valid"}),
    "mixture": ("--mixture", {"type": Path, "required": True, "help": "mixture.json of cpt/mixture"}),
    "train": ("--train", {"type": Path, "required": True, "help": "training rows (Parquet)"}),
    "val": ("--val", {"type": Path, "required": True, "help": "validation rows (Parquet)"}),
    "tree": ("--tree", {"type": Path, "required": True, "help": "table of cpt/tree for one root"}),
    "templates": ("--templates", {"type": Path, "required": True, "help": "table of cpt/templates"}),
    "source": ("--source", {"type": Path, "required": True, "help": "list of WebSight files (cpt websight-source)"}),
    "files": ("--files", {"type": Path, "nargs": "*", "default": [], "help": "WebSight's Parquet files"}),
    "count": ("--count", {"type": int, "required": True, "help": "how many rows"}),
    "signatures": ("--signatures", {"type": Path, "nargs": "+", "required": True, "help": "signature tables"}),
    "pages": ("--pages", {"type": Path, "nargs": "+", "required": True, "help": "page tables, named like these"}),
    "bands": ("--bands", {"type": Path, "nargs": "+", "required": True, "help": "tables of dedup-bands"}),
    "visits": ("--visits", {"type": Path, "required": True, "help": "which chunks need which rows (dedup-components)"}),
    "candidates": ("--candidates", {"type": Path, "required": True, "help": "table of dedup-components"}),
    "routes": ("--routes", {"type": Path, "nargs": "+", "required": True, "help": "tables of dedup-route"}),
    "verified": ("--verified", {"type": Path, "nargs": "+", "required": True, "help": "tables of dedup-verify"}),
    "part": ("--part", {"type": int, "default": 0, "help": "this job's part of the work, from 0 (0)"}),
    "parts": ("--parts", {"type": int, "default": 1, "help": "parts of the work (1)"}),
    "distinct": ("--output", {
        "type": Path, "required": True, "help": "table of what is dropped; the kept rows and ledgers stand beside it",
    }),
    "dropped": ("--dropped", {"type": Path, "required": True, "help": "table of dedup-pairs or dedup-keep"}),
    "work": ("--work", {"type": Path, "required": True, "help": "folder for checkpoints; survives a killed job"}),
    "manifest": ("--manifest", {"type": Path, "required": True, "help": "manifest to write when all is done"}),
    "checkpoint": ("--checkpoint", {
        "type": Path, "required": True, "help": "manifest of train/cpt, train/sft or train/grpo",
    }),
    "folder": ("--output", {"type": Path, "required": True, "dest": "folder", "help": "folder to write"}),
    "calibration": ("--output", {"type": Path, "dest": "folder", "help": "folder (default: RESULTS/sft/calibrate)"}),
    "results": ("--results", {"type": Path, "required": True, "help": "folder of all results"}),
    "rulegraph": ("--rulegraph", {"type": Path, "required": True, "help": "rulegraph in dot, drawn into the page"}),
    "rendezvous": ("--rendezvous", {"type": Path, "help": "folder in which services and trainer meet"}),
    "host": ("--host", {"default": "127.0.0.1", "help": "address to bind"}),
    "port": ("--port", {"type": int, "default": 0, "help": "port; 0 takes a free one"}),
    "job_folder": ("--work", {"type": Path, "required": True, "help": "the step's work folder; the job stands here"}),
    "resources": ("--resources", {
        "nargs": "+", "required": True, "type": lambda text: tuple(text.split("=", 1)), "metavar": "NAME=VALUE",
        "help": "the rule's resources: slurm_partition=gpu gpu=8 ...",
    }),
    "command": ("command", {"nargs": "+", "help": "subcommand and its arguments, after --"}),
    "image_roles": ("role", {"nargs": "*", "help": "data, render, train (these by default), serve, or cpu"}),
    "snakemake": ("snakemake", {"nargs": "*", "help": "further arguments for Snakemake, after --"}),
    "page": ("page", {"type": Path, "help": "HTML file"}),
    "answer": ("page", {"type": Path, "help": "file with a page or a model's whole answer"}),
    "task": ("--task", {"required": True, "help": "id in the RL tables, or a request in words"}),
    "prompt": ("prompt", {"nargs": "?", "default": "", "help": "what page is wanted, in words"}),
    "endpoint": ("--endpoint", {"default": "", "help": "endpoint of the configuration that is asked"}),
    "made": ("--output", {"type": Path, "dest": "folder", "help": "folder (default: RESULTS/generate/REQUEST)"}),
    "serve": ("--serve", {"action": "store_true", "help": "a page on 127.0.0.1 for one request after another"}),
    "data": ("--data", {
        "type": Path, "nargs": "+", "default": [], "help": "RL tables (default: those of RESULTS/rl/parquet)",
    }),
    "checklist": ("--checklist", {"type": Path, "help": "JSON list of items: id, title, description, max"}),
    "reference": ("--reference", {"type": Path, "help": "reference page, HTML"}),
    "counter": ("--model", {"type": Path, "help": "model folder whose tokenizer counts (default: train.base)"}),
    "pictures": ("--output", {
        "type": Path, "dest": "folder", "help": "folder for the pictures (default: RESULTS/reward/PAGE)",
    }),
    "shots": ("--output", {
        "type": Path, "dest": "folder", "help": "folder for the pictures (default: RESULTS/render/PAGE)",
    }),
    "configs": ("--config", {
        "type": Path, "action": "append", "default": [], "dest": "configs",
        "help": "configuration, as Snakemake takes it (default: config.yaml and what the profile names)",
    }),
    "shape": ("--model", {"default": "", "help": "model folder, or the name of a known model (default: train.base)"}),
    "node_counts": ("--nodes", {
        "type": int, "nargs": "+", "default": [], "dest": "nodes", "help": "for so many nodes (default: as configured)",
    }),
    "tokens": ("--tokens", {"type": float, "default": 75e9, "help": "tokens whose days are counted (75e9)"}),
    "document": ("--document", {"type": int, "default": 0, "help": "tokens of a document (default: the longest)"}),
    "tflops": ("--tflops", {
        "type": float, "default": 200.0, "help": "TFLOP/s that a GPU is assumed to reach, without recomputing (200)",
    }),
    "jobs": ("--jobs", {"type": int, "default": 8, "help": "jobs at once that start a server of their own (8)"}),
    "json": ("--json", {"action": "store_true", "help": "as JSON"}),
    "record": ("id", {"metavar": "ID", "help": "id of a table, or train/NAME/STEP"}),
    "run_results": ("--results", {
        "type": Path, "default": Path("results"), "help": "results of a run, with its config.yaml (results)",
    }),
    "audited": ("runs", {
        "nargs": "*", "type": Path, "metavar": "RUN", "help": "two runs: files of RESULTS/audit, or results folders",
    }),
    "dot": ("--rulegraph", {"type": Path, "required": True, "help": "what `snakemake --rulegraph dot` prints"}),
    "filegraph": ("--filegraph", {"type": Path, "help": "what `snakemake --filegraph` prints"}),
    "published": ("names", {
        "nargs": "*", "metavar": "NAME", "help": "dataset-sft, dataset-rl, model-cpt, model-sft, model-grpo (all)",
    }),
    "licence": ("--licence", {"default": "", "help": "the Hub's id of a licence: apache-2.0, cc-by-4.0, other ..."}),
    "push": ("--push", {"action": "store_true", "help": "upload to the Hugging Face Hub; needs HF_TOKEN and --to"}),
    "to": ("--to", {"default": "", "metavar": "OWNER", "help": "user or organisation of the Hub"}),
    "prefix": ("--prefix", {"default": "", "help": "what names on the Hub begin with (artifactscoder)"}),
    "base": ("--base", {
        "default": "", "metavar": "OWNER/NAME", "help": "the base model's name on the Hub, for the cards of models",
    }),
    "public": ("--public", {"action": "store_true", "help": "visible to all; else only to OWNER"}),
    "once": ("--once", {"action": "store_true", "help": "print once and end"}),
    "yes": ("--yes", {"action": "store_true", "help": "really remove; else it is only said what would go"}),
    "profile": ("--profile", {"type": Path, "default": Path("profiles/slurm"), "help": "profile (profiles/slurm)"}),
    "only": ("--only", {
        "nargs": "+", "default": [], "metavar": "CHECK",
        "help": "these checks only: slurm, images, binds, keys, endpoints, model, memory, disk, files, latency",
    }),
    "from_compute": ("--from-compute", {
        "action": "store_true", "help": "look from a compute node too: its clock, endpoints, binds, file system",
    }),
}  # fmt: skip

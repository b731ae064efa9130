"""A Snakemake profile as the Slurm plugin will understand it: what each rule asks of a node.

`config.yaml` of the profile is read with `set-resources`, `set-threads` and `default-resources` as mappings or as
`rule:key=value` texts; beneath them stand the numbers that the rules themselves name (`threads:`, `mem_mb=`).
Expressions such as `"4000 * attempt"` are worked out for the first attempt from their syntax tree; what is no number
(an input's size, a function) counts as not asked.
"""

from __future__ import annotations

import ast
import math
import operator
import os
import re
import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from artifactscoder import config as configs
from artifactscoder.cluster import serving
from artifactscoder.config import Config
from artifactscoder.errors import UserError

RULES = Path(__file__).resolve().parents[3] / "rules"
TRAINERS = {"train_cpt": "cpt", "train_sft": "sft", "train_grpo": "grpo"}  # rule -> section of `train`
OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {"min": min, "max": max, "int": int, "round": round}
UNITS = {"s": 1 / 60, "m": 1, "min": 1, "h": 60, "d": 1440, "w": 10080}
SIZES = {"": 1e-6, "k": 1e-3, "m": 1, "g": 1e3, "t": 1e6}


@dataclass(frozen=True)
class Ask:
    """What a job of a rule asks: `nodes`, and of each node CPUs, memory [MB] and GPUs; `minutes` 0: not said."""

    rule: str
    account: str
    partition: str
    nodes: int
    cpus: int
    memory_mb: int
    gpus: int
    minutes: float


class Profile:
    """`values` is the profile's YAML; `resources(rule)` and `asks(config)` what it means."""

    def __init__(self, path: Path, only: Collection[str] | None = None) -> None:
        """`path`: the folder of a profile or its file; `only`: the rules that a run needs, if not all.

        Raises UserError when it cannot be read.
        """
        self.only = only
        self.path = path / "config.yaml" if path.is_dir() else path
        try:
            values = yaml.safe_load(self.path.read_text())
        except OSError as error:
            raise UserError(f"cannot read the profile {self.path}: {error.strerror}; name one by --profile") from None
        except yaml.YAMLError as error:
            raise UserError(f"{self.path} is not valid YAML: {' '.join(str(error).split())}") from None
        if not isinstance(values, dict):
            raise UserError(f"{self.path} must hold a mapping of keys to values")
        self.values: dict[str, Any] = values
        self.defaults = _pairs(values.get("default-resources"))
        self.threads = _pairs(values.get("set-threads"))
        self.set: dict[str, dict[str, Any]] = {}
        asked = values.get("set-resources") or {}
        if isinstance(asked, dict):
            self.set = {rule: dict(resources or {}) for rule, resources in asked.items()}
        else:
            for text in asked:
                where, _, value = str(text).partition("=")
                rule, _, key = where.partition(":")
                self.set.setdefault(rule, {})[key] = value

    @property
    def slurm(self) -> bool:
        return self.values.get("executor") == "slurm"

    @property
    def apptainer(self) -> bool:
        method = self.values.get("software-deployment-method") or self.values.get("sdm") or []
        return "apptainer" in (method.split() if isinstance(method, str) else method)

    @property
    def account(self) -> str:
        return _text(self.defaults.get("slurm_account"))

    def needs(self, rule: str) -> bool:
        """Whether the run has a job of the rule, as far as is known."""
        return self.only is None or rule in self.only

    def apptainer_args(self) -> list[str]:
        return shlex.split(str(self.values.get("apptainer-args") or ""))

    def binds(self) -> list[Path]:
        """Folders of this machine that `--bind` or `-B` names."""
        words, found = self.apptainer_args(), []
        for number, word in enumerate(words):
            flag, joined, value = word.partition("=")
            if flag in ("--bind", "-B"):
                value = value if joined else (words[number + 1] if number + 1 < len(words) else "")
                found += [Path(os.path.expandvars(part.split(":")[0])) for part in value.split(",") if part]
        return found

    def config(self, paths: list[Path]) -> Config:
        """The configuration as the workflow sees it: `paths` (default: config.yaml and the profile's), then `config:`
        key by key of the top level.

        Raises UserError as `config.load` does.
        """
        named = self.values.get("configfile") or self.values.get("configfiles") or []
        extra = [Path(named)] if isinstance(named, str) else [Path(name) for name in named]
        config = configs.load(paths or [Path("config.yaml"), *extra])
        overlay = {key: yaml.safe_load(_text(value)) for key, value in _pairs(self.values.get("config")).items()}
        return configs.from_dict({**config.model_dump(mode="json"), **overlay}, str(self.path)) if overlay else config

    def resources(self, rule: str, config: Config) -> dict[str, Any]:
        """Resources of a rule by name, its own beneath the profile's; `_threads` are its CPUs."""
        own = rules().get(rule, {})
        if rule in TRAINERS:
            own = own | {"nodes": getattr(config.train, TRAINERS[rule]).nodes}  # as rules/train.smk has it
        threads = number(self.threads.get(rule, own.get("_threads", 1))) or 1
        if step := own.get("_asks"):
            own = own | serving.resources(
                config, step, own["mem_mb"], int(threads), plain(self.set.get("train_sft", {}))
            )
        if own.get("_shares"):
            node = plain(self.set.get("train_sft", {}))
            own = own | serving.share(node, config.eval.gpus, int(threads), own["mem_mb"])
        return {**self.defaults, **own, **self.set.get(rule, {}), "_threads": threads}

    def asks(self, config: Config) -> list[Ask]:
        """What the jobs of every rule that the run needs ask, and GRPO's render replicas as `train_grpo (render)`."""
        out = []
        for rule in sorted(filter(self.needs, {*rules(), *self.set})):
            values = self.resources(rule, config)
            nodes = int(number(values.get("nodes")) or 1)
            gpus = _gpus(values)
            own_job = rule in TRAINERS and config.launcher == "slurm"
            per_node = gpus if own_job else math.ceil(gpus / nodes)  # the plugin's --gpus counts all nodes
            cpus = number(values.get("cpus_per_task")) or 0
            if not cpus:
                cpus = (number(values.get("cpus_per_gpu")) or 0) * per_node or values["_threads"]
            memory = number(values.get("mem_mb")) or _megabytes(values.get("mem"))
            memory = (number(values.get("mem_mb_per_cpu")) or 0) * cpus or memory
            partition, minutes = _text(values.get("slurm_partition")), _minutes(values.get("runtime"))
            account = _text(values.get("slurm_account"))
            out.append(Ask(rule, account, partition, nodes, int(cpus), int(memory), per_node, minutes))
            replicas = int(number(values.get("render_nodes")) or 0)
            if own_job and replicas:
                render = _text(values.get("render_partition")) or partition
                cpus, memory = number(values.get("render_cpus")) or 1, number(values.get("render_mem_mb")) or 0
                out.append(Ask(f"{rule} (render)", account, render, replicas, int(cpus), int(memory), 0, minutes))
        return out


def rules(folder: Path = RULES) -> dict[str, dict[str, Any]]:
    """What rules name themselves: rule -> {`_threads`: CPUs, `mem_mb`: ...}; those of the controller are out."""
    out: dict[str, dict[str, Any]] = {}
    text = "\n".join(path.read_text() for path in sorted(folder.glob("*.smk")))
    for part in re.split(r"^(?= *(?:rule|checkpoint)(?: \w+)?:$)", text, flags=re.MULTILINE)[1:]:
        part = re.sub(rf"^{' ' * (len(part) - len(part.lstrip(' ')))}", "", part, flags=re.MULTILINE)
        named = re.match(r"\w+ (\w+):", part)
        of_stages = re.search(r"^ {4}name:\n {8}f\"\{STAGE\}_(\w+)\"", part, re.MULTILINE)  # rules/dedup.smk
        names = [named[1]] if named else [f"{stage}_{of_stages[1]}" for stage in ("cpt", "sft") if of_stages]
        if re.search(r"^    run:", part, re.MULTILINE):
            continue
        block = re.search(r"^    resources:\n((?: {8}.*\n)+)", part, re.MULTILINE)
        asked = re.sub(r"\bgrowing\((\d+)\)", r"\1", block[1] if block else "")
        numbers = re.findall(r"^ {8}(\w+)=(\d+|\"[^\"]*\"),", asked, re.MULTILINE)
        values = {key: ast.literal_eval(value) for key, value in numbers}
        if asks := re.search(r"^ {8}\*\*asking\(\"([\w/]+)\", mem_mb=(\d+)", asked, re.MULTILINE):
            values |= {"_asks": asks[1], "mem_mb": int(asks[2])}
        if shares := re.search(r"^ {8}\*\*answering\(mem_mb=(\d+)\)", asked, re.MULTILINE):
            values |= {"_shares": True, "mem_mb": int(shares[1])}
        if threads := re.search(r"^    threads: (\d+)", part, re.MULTILINE):
            values["_threads"] = int(threads[1])
        out |= dict.fromkeys(names, values)
    return out


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """A rule's resources as numbers and texts, for the first attempt; from a profile's YAML or from Snakemake."""
    out: dict[str, Any] = {}
    for name, value in values.items():
        value = getattr(value, "raw", value)  # Snakemake's Resource, with the text that it was read from
        worked_out = number(value)
        out[name] = _text(value) if worked_out is None else int(worked_out)
    if "runtime" in out:
        out["runtime"] = int(_minutes(out["runtime"])) or None
    return out


def number(value: Any) -> float | None:
    """A number, or an expression of numbers and `attempt` (which is 1); none where it is neither."""
    if isinstance(value, int | float):
        return value
    try:
        return _worked_out(ast.parse(str(value).strip("\"' "), mode="eval").body)
    except (SyntaxError, ValueError, TypeError, ArithmeticError):
        return None


def _worked_out(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=bool() | int() | float()):
            return node.value  # type: ignore[return-value]
        case ast.Name(id="attempt"):
            return 1
        case ast.BinOp() if type(node.op) in OPERATORS:
            return OPERATORS[type(node.op)](_worked_out(node.left), _worked_out(node.right))
        case ast.UnaryOp() if type(node.op) in OPERATORS:
            return OPERATORS[type(node.op)](_worked_out(node.operand))
        case ast.Call(func=ast.Name(id=("min" | "max" | "int" | "round") as name), keywords=[]):
            return FUNCTIONS[name](*map(_worked_out, node.args))
    raise ValueError("not an expression of numbers")


def _pairs(values: Any) -> dict[str, Any]:
    """A mapping, or `key=value` texts, as a mapping."""
    if isinstance(values, dict):
        return values
    texts = values.split() if isinstance(values, str) else values or []
    return dict(str(text).partition("=")[::2] for text in texts)


def _text(value: Any) -> str:
    return "" if value is None else os.path.expandvars(str(value)).strip("\"' ")


def _gpus(values: dict[str, Any]) -> int:
    from artifactscoder.cluster.slurm import gpus

    asked = next((number(values[key]) for key in ("gpu", "gpus", "nvidia_gpu") if values.get(key) is not None), None)
    return int(asked or 0) or gpus(_text(values.get("gres")))


def _minutes(value: Any) -> float:
    """Minutes of a number, an expression, or a text such as `12h`; 0 where nothing is said."""
    plain = number(value)
    if plain is None and (found := re.fullmatch(r"([\d.]+)\s*([a-z]+?)(?:ours?|our|ays?|inutes?)?", _text(value))):
        plain = float(found[1]) * UNITS.get(found[2], 0)
    return plain or 0


def _megabytes(value: Any) -> float:
    found = re.fullmatch(r"([\d.]+)\s*([kmgt]?)i?b?", _text(value).lower())
    return float(found[1]) * SIZES[found[2]] if found else 0

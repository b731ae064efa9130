"""Settings of the engines: endpoints and roles, rendering, reward."""

from __future__ import annotations

import re
from pathlib import Path, PurePath
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from artifactscoder.config.base import Section


class Sampling(Section):
    """How an answer is drawn; part of a request's digest."""

    temperature: float = Field(0.7, ge=0, le=2, description="Sampling temperature.")
    top_p: float = Field(0.95, gt=0, le=1, description="Nucleus mass.")
    max_tokens: int = Field(8192, gt=0, description="Longest answer [tokens]; a longer one is `truncated`.")


HOSTED = ("vllm", "sglang", "llamacpp")
SET_BY_THE_JOB = {"host", "port", "model", "model-path", "served-model-name", "alias"}
PARALLEL = {"tensor-parallel-size", "tp", "tp-size", "data-parallel-size", "dp", "dp-size"} | {
    "pipeline-parallel-size", "pp", "pp-size",
}  # fmt: skip


class Endpoint(Section):
    """A place that answers requests."""

    kind: Literal["api", "vllm", "sglang", "llamacpp", "procedural"] = Field(
        description="`api`: any OpenAI-compatible server. `vllm`, `sglang`, `llamacpp`: hosted, each job starts its "
        "own server and ends it. `procedural`: built in, no model, for demo and tests."
    )
    model: str = Field(
        "procedural",
        description="Model name as the server knows it; part of the request digest. Only `procedural` needs none.",
    )
    revision: str = Field(
        "", description="Anything that tells one state of the model from another: weights, quantisation."
    )
    url: str | list[str] = Field(
        "", description="Base URL of an `api` endpoint, up to and including /v1; several share the load."
    )
    key_env: str = Field("", description="NAME of the environment variable that holds the key (never the key).")
    path: str = Field("", description="What a hosted server loads: a model folder, a name on the hub, a GGUF file.")
    command: str = Field(
        "", description="What starts a hosted server, where it is not `vllm serve` or the like: `llama-server`."
    )
    arguments: dict[str, str | int | float | bool | None] | list[str] = Field(
        {}, description="Further flags of a hosted server without their dashes, or a list of words as they are."
    )
    gpus: int | None = Field(
        None, ge=0, description="GPUs of a hosted server; the default is 8, a node, and none for `llamacpp`."
    )
    start_s: float = Field(1800, gt=0, description="Longest wait until a hosted server answers a first request [s].")
    structured: Literal["json_schema", "json_object", "prompt"] = Field(
        "json_schema", description="How the server is asked for JSON; `prompt`: in words only."
    )
    vision: bool = Field(False, description="Whether messages may carry pictures.")
    concurrency: int = Field(
        64, ge=1, description="Most requests in flight from one job; fewer while a server says that it is crowded."
    )
    requests_per_minute: float = Field(0, ge=0, description="Most requests a minute of one job; 0: no limit.")
    tokens_per_minute: float = Field(0, ge=0, description="Most tokens a minute, in and out, of one job; 0: no limit.")
    stream: bool = Field(True, description="Whether answers are read as they grow: silence and loops are noticed.")
    idle_s: float = Field(300, gt=0, description="Longest silence in a streamed answer, its queueing included [s].")
    timeout_s: float = Field(3600, gt=0, description="Longest wait for one answer [s].")
    retries: int = Field(6, ge=0, description="Further attempts after 429, 5xx, time-out or a broken body.")
    patience_s: float = Field(
        300, ge=0, description="How long an endpoint that refuses connections is tried before the job stops [s]."
    )
    batch: bool = Field(False, description="Whether an `api` is asked by its Batch endpoint: a day, part of the price.")
    batch_requests: int = Field(10_000, ge=1, le=50_000, description="Most requests of one batch.")
    batch_poll_s: float = Field(60, gt=0, description="Pause between two looks at a batch [s].")
    batch_price: float = Field(0.5, ge=0, description="Share of the price that an answer in a batch costs.")
    tokens_per_s: float = Field(
        0, ge=0, description="Answer tokens a second that one server gives, for `plan`; 0: not known."
    )
    price_in: float = Field(0.0, ge=0, description="Price of a million prompt tokens.")
    price_out: float = Field(0.0, ge=0, description="Price of a million answer tokens.")

    @model_validator(mode="after")
    def an_api_has_a_url(self) -> Endpoint:
        if self.kind == "api" and not all(url.startswith(("http://", "https://")) for url in self.urls or [""]):
            raise ValueError("an endpoint of kind 'api' needs `url`, beginning with http:// or https://")
        return self

    @model_validator(mode="after")
    def a_hosted_one_can_be_started(self) -> Endpoint:
        if not self.hosted:
            return self
        if not self.path:
            what = "the GGUF file" if self.kind == "llamacpp" else "the model's folder, or its name on the hub"
            raise ValueError(f"an endpoint of kind '{self.kind}' needs `path`: {what}")
        if clash := SET_BY_THE_JOB & self.flags:
            raise ValueError(f"`arguments` may not hold {min(clash)}: the job sets it, from `path` and `model`")
        return self

    @model_validator(mode="after")
    def a_model_has_its_name(self) -> Endpoint:
        if self.kind != "procedural" and self.model in ("", "procedural"):
            raise ValueError(
                f"an endpoint of kind '{self.kind}' needs `model`: the model's name, as the server knows or is told it"
            )
        return self

    @property
    def hosted(self) -> bool:
        """Whether a job starts the server itself."""
        return self.kind in HOSTED

    @property
    def flags(self) -> set[str]:
        """The names in `arguments`, without dashes."""
        listed = isinstance(self.arguments, list)
        return {word.partition("=")[0].lstrip("-") for word in self.arguments if word[:1] == "-" or not listed}

    @property
    def job_gpus(self) -> int:
        """The GPUs that a job asks for its server."""
        if not self.hosted:
            return 0
        return self.gpus if self.gpus is not None else (0 if self.kind == "llamacpp" else 8)

    def words(self) -> list[str]:
        """`arguments` as a command line has them; one that is false or null is left out, one that is true stands alone.

        A server on several GPUs splits the model over all of them, unless the arguments say how.
        """
        out = list(self.arguments) if isinstance(self.arguments, list) else []
        if isinstance(self.arguments, dict):
            for name, value in self.arguments.items():
                if value is not None and value is not False:
                    out += [f"--{name.lstrip('-')}", *([] if value is True else [str(value)])]
        if self.job_gpus > 1 and self.kind != "llamacpp" and not PARALLEL & self.flags:
            out += ["--tensor-parallel-size" if self.kind == "vllm" else "--tp-size", str(self.job_gpus)]
        return out

    @model_validator(mode="after")
    def a_batch_is_one_api_s(self) -> Endpoint:
        if self.batch and (self.kind != "api" or len(self.urls) > 1):
            raise ValueError("`batch: true` is for an endpoint of kind 'api' with one `url`")
        return self

    @property
    def urls(self) -> list[str]:
        """The base URLs, without a slash at the end."""
        return [url.rstrip("/") for url in ([self.url] if isinstance(self.url, str) else self.url)]

    @property
    def window(self) -> int:
        """Rows of a step that are worth having under way at once: some wait for rendering, retries or a re-ask."""
        return self.batch_requests if self.batch else 4 * self.concurrency

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """Price of an answer."""
        price = (tokens_in * self.price_in + tokens_out * self.price_out) / 1e6
        return price * self.batch_price if self.batch else price

    @property
    def maker(self) -> str:
        """What the tables call the maker of an answer; what no model made says so."""
        return self.kind if self.kind == "procedural" else self.model

    @property
    def label(self) -> str:
        """The maker with its revision: tells any two from one another that can answer differently."""
        return f"{self.maker}@{self.revision}" if self.revision and self.kind != "procedural" else self.maker

    def identity(self) -> dict[str, str]:
        """What decides its answers, as opposed to where and how fast they come.

        A served model is the same one behind a URL and in a job, so that a change between them asks nothing again.
        Where the name is not that of what is loaded, the latter counts too, for it may change beneath the name.
        """
        kind = "api" if self.hosted else self.kind
        loaded = PurePath(self.path).name if self.hosted else self.model
        more = {} if loaded == self.model else {"path": loaded}
        return {"kind": kind, "model": self.model, "revision": self.revision, **more}


class BudgetSettings(Section):
    """What the answers of a run may cost, all that the journal holds included; a run that has spent it stops."""

    cost: float = Field(0, ge=0, description="Most money, by the endpoints' prices; 0: no limit.")
    tokens: int = Field(0, ge=0, description="Most tokens, in and out; 0: no limit.")


class Roles(Section):
    """Which endpoint does what; the paper's models stand in config.yaml."""

    teacher: str = Field(description="Writes tasks, variants, topic trees, templates and WebSight's prompts.")
    coder: str = Field(description="Writes the pages of CPT and SFT.")
    reference: str = Field(description="Writes the reference pages of RL.")
    judge: str = Field(description="Scores pages on 25 dimensions, where sft.score.judges names nobody.")
    vision_judge: str = Field(
        description="Judges rendered pages by checklist: in GRPO, and in evaluation where eval.judges names nobody."
    )


class RenderSettings(Section):
    """How a page is rendered and when it counts as rendered."""

    OPERATIONAL: ClassVar[frozenset[str]] = frozenset({"sandbox"})  # time and memory end a page, which is a verdict
    width: int = Field(1280, ge=200, le=4000, description="Viewport width [CSS px].")
    height: int = Field(720, ge=200, le=4000, description="Viewport height [CSS px].")
    first_ms: int = Field(3000, ge=1, le=600_000, description="Virtual time before the first picture [ms].")
    interval_ms: int = Field(1000, ge=1, le=600_000, description="Virtual time between pictures [ms].")
    timeout_s: float = Field(10, ge=0.1, le=600, description="Wall time after which a page is ended [s].")
    full_page: bool = Field(False, description="Picture of the whole page instead of the viewport.")
    max_height: int = Field(4000, ge=200, le=20_000, description="Cap of a full-page picture [CSS px].")
    image: Literal["jpeg", "png", "webp"] = Field("jpeg", description="Picture format.")
    quality: int = Field(80, ge=1, le=100, description="JPEG and WebP quality.")
    memory_mb: int = Field(1500, ge=300, le=1_000_000, description="Data segment limit of a browser process [MB].")
    sandbox: Literal["auto", "require"] = Field(
        "auto", description="auto: the strongest containment of browsers that the machine grants; require: or none."
    )
    mirror: bool = Field(
        True, description="Whether common libraries that pages load from CDNs are served from the local mirror."
    )
    blank_colours: int = Field(
        2,
        ge=0,
        le=4096,
        description="A picture of so few colours (4 bits a channel), one of them on 99%, is blank, unless it shows "
        "something where the page has text or drawings.",
    )
    blank_share: float = Field(
        0.999, gt=0, le=1, description="A picture with one colour on this share is blank, with the same exception."
    )
    noise_edges: float = Field(0.3, gt=0, le=1, description="A picture with more edge pixels than this is restless.")
    noise_order: float = Field(
        0.15, ge=0, le=1, description="A restless picture that keeps less of its contrast in averages is noise."
    )


# Functions of reward/components by their names. `OWN`: parts that every answer has, in columns s_... and i_...
EXTRA = ("accessible", "error_free", "self_contained")
GATES = ("rep", "render", "no_errors", "self_contained", "undirected")
OWN = {"extra": ("chk", "sim", "struct", "sem", "len"), "gates": ("rep", "render")}


class RewardSettings(Section):
    """R = the product of the gates * the weighted mean of checklist, similarity, length and what `extra` names."""

    OPERATIONAL: ClassVar[frozenset[str]] = frozenset({"patience_s"})
    checklist: float = Field(0.6, ge=0, description="Weight of the checklist score S_chk; at 0 training asks no judge.")
    similarity: float = Field(0.3, ge=0, description="Weight of the similarity to the reference S_sim.")
    length: float = Field(0.1, ge=0, description="Weight of the length score S_len.")
    extra: dict[str, float] = Field(
        {},
        description="Further components and their weights: `accessible`, `error_free`, `self_contained`, or a function "
        "of your own as `module:function` (docs/reward.md). All weights are divided by their sum.",
    )
    gates: list[str] = Field(
        ["rep", "render"],
        description="What multiplies everything: `rep` and `render`, further `no_errors`, `self_contained`, "
        "`undirected`, or `module:function`.",
    )
    judge_directed: Literal["reward", "checklist", "record"] = Field(
        "checklist",
        description="What a page loses that speaks to its judge: the whole reward, its checklist score, or nothing but "
        "the words, which are always recorded.",
    )
    structure: float = Field(0.5, ge=0, le=1, description="Share of S_struct in S_sim; the rest is S_sem.")
    length_full: int = Field(12_000, gt=0, description="S_len is 1 up to this many tokens.")
    length_zero: int = Field(16_000, gt=0, description="S_len falls to 0 at this many tokens.")
    max_item: float = Field(5, gt=0, description="Most points of one checklist item that names no `max` of its own.")
    max_chars: int = Field(
        200_000,
        gt=0,
        description="A longer page is not rendered, and earns nothing, in the evaluation too [characters].",
    )
    read_chars: int = Field(60_000, ge=1000, description="Most of a page's code that the judge reads [characters].")
    sampling: Sampling = Field(
        Sampling(temperature=0.0, top_p=1.0, max_tokens=4096), description="How the checklist judge is asked."
    )
    screenshots: int = Field(1, ge=1, le=5, description="Pictures handed to the judge.")
    asks: int = Field(
        3,
        ge=1,
        description="Attempts of the judge at an answer of the right form; after them eval/judge counts it as "
        "`rejected`, and train/grpo has no score of it.",
    )
    patience_s: float = Field(
        900,
        gt=0,
        description="How long an outage of rendering or judge is waited out before the answer counts as failed [s].",
    )

    @model_validator(mode="after")
    def length_falls(self) -> RewardSettings:
        if self.length_zero <= self.length_full:
            raise ValueError("reward.length_zero must be above reward.length_full")
        return self

    @model_validator(mode="after")
    def components_and_gates_exist(self) -> RewardSettings:
        for key, known, names in (("extra", EXTRA, self.extra), ("gates", GATES, self.gates)):
            for name in names:
                if name not in known and not re.fullmatch(r"[\w.]+:\w+", name):
                    raise ValueError(
                        f"reward.{key} names '{name}': there are {', '.join(known)}, or a function as module:function"
                    )
                if ":" in name and name.rpartition(":")[2] in OWN[key]:
                    raise ValueError(
                        f"reward.{key} names '{name}', but {', '.join(OWN[key])} are parts of every reward; "
                        "give your function another name"
                    )
            if len({name.rpartition(":")[2] for name in names}) < len(names):
                raise ValueError(f"reward.{key} has two entries of one name")
        weights = [self.checklist, self.similarity, self.length, *self.extra.values()]
        if min(weights) < 0 or sum(weights) <= 0:
            raise ValueError("the weights in reward must not be negative, and not all 0")
        return self


class ReportSettings(Section):
    """The page over a whole run; docs/report.md."""

    pages: int = Field(
        4000,
        ge=0,
        description="Scored pages shown with code and picture (a file and some 50 KB each beside the report; all "
        "others with scores and life): a third each of the best, the nearest to sft.select.min_percent and the worst.",
    )


class ImageSettings(Section):
    """Apptainer images of `--sdm apptainer`; each is named by the digest of its definition and locks."""

    folder: Path = Field(Path("containers"), description="Folder into which `artifactscoder images build` writes.")
    shared: Path | None = Field(
        None, description="Folder of images that a group shares; one of the right digest is taken from there first."
    )
    data: Path | None = Field(None, description="A prebuilt image of the role data, instead of one built here.")
    render: Path | None = Field(None, description="A prebuilt image of the role render.")
    train: Path | None = Field(None, description="A prebuilt image of the role train.")
    serve: Path | None = Field(None, description="A prebuilt image of the role serve.")

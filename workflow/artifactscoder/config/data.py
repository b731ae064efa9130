"""Settings of the data stages: seeds, SFT, CPT, RL."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from artifactscoder.config.base import Section
from artifactscoder.config.engines import Sampling

Source = Literal["websight", "tree"]  # of continual pre-training
SEEDS = Path("workflow/seeds")


class SeedSettings(Section):
    """The seed files; replace any of them by one of your own with the same columns."""

    categories: Path = Field(SEEDS / "categories.jsonl", description="80 categories: slug, name, domain, brief.")
    subcategories: Path = Field(
        SEEDS / "subcategories.jsonl", description="25 subcategories a category: id, name, brief."
    )
    variants: Path = Field(SEEDS / "variants.jsonl", description="12 variant kinds: slug, name, instruction.")
    dimensions: Path = Field(
        SEEDS / "dimensions.jsonl", description="25 scoring dimensions: slug, name, question, five levels."
    )
    gold: Path = Field(
        SEEDS / "gold/gold.jsonl",
        description="Pages of known levels for sft/calibrate: slug, page (a file beside it), prompt, levels, shows.",
    )
    cpt_roots: Path = Field(SEEDS / "cpt_roots.jsonl", description="25 roots of the topic tree.")
    cpt_fillers: Path = Field(
        SEEDS / "cpt_fillers.jsonl", description="What {audience}, {style} and {feature} may be: slug, values."
    )
    rl_families: Path = Field(
        SEEDS / "rl_families.jsonl", description="Task families: slug, name, weight, tasks, checklist."
    )
    rl_universal: Path = Field(SEEDS / "rl_universal.jsonl", description="10 checklist items of every RL task.")
    tech_stacks: Path = Field(SEEDS / "tech_stacks.jsonl", description="6 tech stacks: slug, name, instruction.")


class TasksSettings(Section):
    """sft/tasks: concrete tasks of each subcategory."""

    per_subcategory: int = Field(10, ge=1, le=50, description="Tasks asked for per subcategory (paper: 10).")
    rounds: int = Field(
        3, ge=1, description="Most rounds of asking for a subcategory's tasks: places left empty are asked for again."
    )
    asks: int = Field(3, ge=1, description="Attempts at an answer of the right form before it is `rejected`.")
    sampling: Sampling = Sampling(temperature=0.8, max_tokens=8192)


class VariantsSettings(Section):
    """sft/variants: each task rewritten under several kinds."""

    kinds: list[str] | Literal["all"] = Field("all", description="Slugs of the variant kinds (paper: all 12).")
    asks: int = Field(3, ge=1, description="Attempts at an answer of the right form before it is `rejected`.")
    sampling: Sampling = Sampling(temperature=0.8, max_tokens=8192)


class CodeSettings(Section):
    """A step that asks for a page."""

    sampling: Sampling = Sampling(temperature=0.7, max_tokens=16_384)


class DistinctSettings(Section):
    """Near-duplicate removal by MinHash over character shingles, verified exactly; for short texts, in one job."""

    threshold: float = Field(gt=0, le=1, description="Jaccard similarity from which a text is a near-duplicate.")
    permutations: int = Field(128, ge=16, description="Length of a signature.")
    bands: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto",
        description="LSH bands; more of fewer rows find more pairs and cost more. "
        "auto: chosen by `recall` and the number of texts.",
    )
    rows: int = Field(0, ge=0, description="Rows of a band, where `bands` is a number; bands x rows <= permutations.")
    recall: float = Field(
        0.98, ge=0.5, lt=1, description="Share of the pairs at the threshold that auto must find, of those above more."
    )
    shingle: int = Field(5, ge=1, le=16, description="Characters of a shingle.")
    bucket: int = Field(
        1000, ge=2, description="Members of an LSH bucket above which it is cut by further values of the signature."
    )
    engine: Literal["numba", "datasketch"] = Field(
        "numba", description="What makes the signatures; datasketch makes the same 100 times slower, to compare."
    )

    @property
    def alike(self) -> str:
        """What to do with a page built like another one; short texts are built in no way."""
        return "off"

    @model_validator(mode="after")
    def bands_fit(self) -> DistinctSettings:
        if self.bands == "auto":
            best = 1 - (1 - self.threshold) ** self.permutations
            if best < self.recall:
                raise ValueError(f"{self.permutations} permutations cannot find {self.recall:.0%} of the pairs")
        elif self.rows < 1:
            raise ValueError("rows must be given where bands is a number")
        elif self.bands * self.rows > self.permutations:
            raise ValueError(f"bands x rows = {self.bands * self.rows} exceeds permutations = {self.permutations}")
        return self


class DedupSettings(DistinctSettings):
    """Near-duplicate removal by MinHash over character shingles, verified exactly; for pages."""

    structure: Literal["off", "report", "remove"] = Field(
        "off",
        description="What to do with a page built like another one (the same elements, texts aside): nothing, "
        "name the other one in the ledger, or remove it.",
    )
    jobs: int = Field(1, ge=1, description="Jobs that share the comparing of all shards; 1: all of it in a single job.")

    @field_validator("structure", mode="before")
    @classmethod
    def off_is_a_word(cls, value: Any) -> Any:
        return "off" if value is False else value  # as YAML reads it

    @property
    def alike(self) -> str:
        return self.structure


class DecontaminateSettings(Section):
    """What training prompts must not be taken from: sft/decontaminate and rl/prompts."""

    benchmarks: list[Path] = Field(
        [],
        description="Benchmark files in the format of ArtifactsBench (`question`, `checklist`) or WebGen-Bench "
        "(`instruction`, `ui_instruct`), JSON or JSON Lines; with none, every prompt passes.",
    )
    ngram: int = Field(13, ge=2, description="Words in a row that a prompt must not share with a benchmark's request.")
    threshold: float = Field(
        0.5, gt=0, le=1, description="Jaccard similarity of character 5-grams from which a prompt is a benchmark's."
    )


class RulesSettings(Section):
    """sft/rules: what a page must be before it is worth rendering and judging."""

    min_chars: int = Field(600, ge=0, description="Shortest page [characters].")
    max_chars: int = Field(400_000, gt=0, description="Longest page [characters].")
    min_text: int = Field(
        20,
        ge=0,
        description="Least text of a page that has neither script nor picture (img, svg, canvas) [characters].",
    )
    repetition: float = Field(
        0.6,
        gt=0,
        le=1,
        description="Most of the page, or of its end, that may be passages repeated one after the other; of lines that "
        "stand three times anywhere, this or 0.8 if that is more.",
    )
    external_scripts: Literal["allow", "reject"] = Field(
        "allow", description="Whether a page may load scripts from elsewhere (rendering refuses the network)."
    )
    unclosed: int = Field(3, ge=0, description="Elements that may be left open or closed without being open.")


class ScoreSettings(Section):
    """sft/score: 25 dimensions, each 0, 2.5, 5, 7.5 or 10."""

    weights: dict[str, float] = Field(
        default_factory=dict, description="Weight by dimension slug; a dimension that is not named weighs 1."
    )
    screenshots: int = Field(
        0, ge=0, le=5, description="Pictures shown to the judge; 0 where it reads text only (evidence is text)."
    )
    asks: int = Field(3, ge=1, description="Attempts at an answer of the right form before it is `rejected`.")
    judges: list[str] = Field(
        default_factory=list,
        description="Endpoints that judge every page, by name; their mean counts. Empty: the role `judge` alone.",
    )
    times: int = Field(
        1, ge=1, le=20, description="How often each judge is asked about a page; more than once needs a temperature."
    )
    group: int = Field(
        0, ge=0, description="Dimensions of one request, in the seed file's order; 0: all at once, 1: one by one."
    )
    sampling: Sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=8192)


class CalibrateSettings(Section):
    """sft/calibrate: from when on a judge is fit, measured on pages of known levels."""

    max_error: float = Field(2.0, gt=0, le=10, description="Most mean distance from the gold level [points of 10].")
    min_agreement: float = Field(
        0.6, ge=-1, le=1, description="Least quadratically weighted kappa with the gold levels (0: chance, 1: equal)."
    )


class SelectSettings(Section):
    """sft/select: the best pages, fairly spread."""

    min_percent: float = Field(80, ge=0, le=100, description="Least weighted score [% of the maximum].")
    max_tokens: int = Field(
        16_384, gt=0, description="Longest system message, prompt and page together by the model's tokenizer [tokens]."
    )
    keep: int = Field(60_000, ge=1, description="Pages kept (paper: 60K).")
    system: str = Field(
        "You are a front-end engineer. Answer with one complete HTML file.",
        description="System message of the training rows; also of the RL prompts and the tasks of eval.",
    )


LEAST_RECALL = 0.95  # at the threshold


class SftDataSettings(Section):
    """From 80 categories to sft_train.parquet."""

    categories: list[str] | Literal["all"] = Field("all", description="Slugs of the categories that are run.")
    subcategories: int = Field(25, ge=1, description="Subcategories taken of each, in the file's order (paper: 25).")
    tasks: TasksSettings = TasksSettings()
    distinct_tasks: DistinctSettings = DistinctSettings(threshold=0.7, bands=25, rows=5)
    variants: VariantsSettings = VariantsSettings()
    distinct_variants: DistinctSettings = DistinctSettings(threshold=0.85, bands=18, rows=7)
    code: CodeSettings = CodeSettings()
    dedup: DedupSettings = DedupSettings(threshold=0.8)
    rules: RulesSettings = RulesSettings()
    score: ScoreSettings = ScoreSettings()
    calibrate: CalibrateSettings = CalibrateSettings()
    select: SelectSettings = SelectSettings()

    @model_validator(mode="after")
    def pairs_are_found(self) -> SftDataSettings:
        for name in ("distinct_tasks", "distinct_variants", "dedup"):
            settings: DistinctSettings = getattr(self, name)
            found = settings.recall
            if settings.bands != "auto":
                found = 1 - (1 - settings.threshold**settings.rows) ** settings.bands
            if found < LEAST_RECALL:
                raise ValueError(
                    f"{name} finds {found:.1%} of the pairs at its threshold, and {LEAST_RECALL:.0%} is the least for "
                    "SFT; take bands: auto, or more bands of fewer rows"
                )
        return self


class WebsightSettings(Section):
    """cpt/websight: WebSight rows made into seeds, fuller prompts and rewritten pages."""

    input: str = Field(
        "data/websight/*.parquet",
        description="WebSight's Parquet files: v0.1 (`image`, `text`) or v0.2 (`llm_generated_idea` too), or both.",
    )
    sample: int = Field(
        0, ge=0, description="DEMO ONLY: compose this many stand-in rows procedurally instead of reading `input`."
    )
    shards: int = Field(
        32,
        ge=0,
        description="Shards; 0 leaves WebSight out. Answers are found again by their shard: another number asks and "
        "pays again for most of them.",
    )
    sampling: Sampling = Sampling(temperature=0.7, max_tokens=16_384)


class TreeSettings(Section):
    """cpt/tree: topics below each root, breadth first."""

    roots: list[str] | Literal["all"] = Field("all", description="Slugs of the roots that are grown.")
    children: list[Annotated[int, Field(ge=1, le=50)]] = Field(
        [8, 8, 7, 7],
        min_length=1,
        max_length=8,
        description="Children per node by level; the root is level 1, so 4 numbers are depth 5.",
    )
    asks: int = Field(3, ge=1, description="Attempts at an answer of the right form before it is `rejected`.")
    sampling: Sampling = Sampling(temperature=0.8, max_tokens=2048)


class TemplatesSettings(Section):
    """cpt/templates: prompt templates with placeholders."""

    count: int = Field(2000, ge=1, description="Distinct templates (paper: 2,000).")
    per_request: int = Field(20, ge=1, description="Templates asked for at once.")
    threshold: float = Field(
        0.7,
        gt=0,
        le=1,
        description="Jaccard similarity of their words' character 5-grams from which a template is a near-duplicate.",
    )
    rounds: int = Field(10, ge=1, description="Most rounds of asking for those still missing.")
    sampling: Sampling = Sampling(temperature=1.0, max_tokens=8192)


class PromptsSettings(Section):
    """cpt/prompts: leaves times templates."""

    per_leaf: int = Field(100, ge=1, description="Prompts drawn for each leaf (paper: 100, 8M in all).")
    shards: int = Field(
        4,
        ge=1,
        description="Shards per root (25 roots: 100 shards of 80K prompts). Answers of cpt/code are found again by "
        "their shard: another number asks and pays again for most of them.",
    )


class PackSettings(Section):
    """cpt/pack: tokens ready for training."""

    length: int = Field(16_384, ge=16, description="Tokens of a training window.")
    include_prompt: bool = Field(True, description="Whether the prompt stands before the page.")
    fim_rate: float = Field(
        0.0, ge=0, le=1, description="Share of the pages that are made fill-in-the-middle (0: none, usual: 0.5)."
    )
    fim_spm_rate: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Of those, the share with the suffix first (SPM); the others begin with the prefix.",
    )


class MixtureSettings(Section):
    """cpt/mixture: how much of each source training draws."""

    weights: dict[Source, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict,
        description="Share of the tokens drawn from each source, divided by their sum. Empty: by their tokens, so that "
        "each is read once.",
    )
    plan: dict[Source, Annotated[int, Field(ge=0)]] = Field(
        {"websight": 5_000_000_000, "tree": 70_000_000_000},
        description="Tokens planned of each source (paper: 5B + 70B); the report shows them beside those made.",
    )

    @model_validator(mode="after")
    def _sum(self) -> MixtureSettings:
        if self.weights and not sum(self.weights.values()) > 0:
            raise ValueError("cpt.mixture.weights must hold one above 0, or be empty")
        return self


class CptSettings(Section):
    """Pages and tokens for continual pre-training."""

    websight: WebsightSettings = WebsightSettings()
    tree: TreeSettings = TreeSettings()
    templates: TemplatesSettings = TemplatesSettings()
    prompts: PromptsSettings = PromptsSettings()
    code: CodeSettings = CodeSettings()
    dedup: DedupSettings = DedupSettings(threshold=0.7, jobs=16)
    pack: PackSettings = PackSettings()
    mixture: MixtureSettings = MixtureSettings()


class RlPromptsSettings(Section):
    """rl/prompts: task families times tech stacks."""

    count: int = Field(2000, ge=1, description="Distinct prompts (paper: 2,000).")
    families: list[str] | Literal["all"] = Field(
        "all", description="Slugs of the task families; the weights of those named are scaled to sum to 1."
    )


class ReferenceSettings(Section):
    """rl/reference: a reference page for each prompt."""

    sampling: Sampling = Sampling(temperature=0.3, max_tokens=16_384)


class RlParquetSettings(Section):
    """rl/parquet: train and validation files, split by task."""

    validation: float = Field(0.1, gt=0, lt=1, description="Share of the tasks kept for validation.")


class RlSettings(Section):
    """From task families to rl_train.parquet and rl_val.parquet."""

    prompts: RlPromptsSettings = RlPromptsSettings()
    reference: ReferenceSettings = ReferenceSettings()
    parquet: RlParquetSettings = RlParquetSettings()

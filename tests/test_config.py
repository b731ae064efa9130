"""The configuration: one source, and a mistake in it is one sentence."""

from __future__ import annotations

import ast
import importlib
import json
import re
from pathlib import Path

import pytest
import yaml

from artifactscoder import config as configs
from artifactscoder import recipe
from artifactscoder.config.base import Section
from artifactscoder.config.engines import RenderSettings
from artifactscoder.config.reference import as_yaml, lines, page
from artifactscoder.config.train import EVALUATED, TRAINED
from artifactscoder.errors import UserError
from artifactscoder.render import RenderOptions

CONFIG = Path("config.yaml")


def test_config_yaml_names_and_explains_every_key() -> None:
    assert CONFIG.read_text() == as_yaml(configs.load([CONFIG])), (
        "after a change of the models run: artifactscoder config yaml > new.yaml && mv new.yaml config.yaml"
    )


def test_the_schema_is_in_step_with_the_models() -> None:
    assert json.loads(Path("workflow/schemas/config.schema.json").read_text()) == configs.Config.model_json_schema(), (
        "after a change of the models run: artifactscoder config schema > workflow/schemas/config.schema.json"
    )


def test_config_yaml_holds_the_recipe_of_the_paper() -> None:
    config = configs.load([CONFIG])
    assert config.sft.tasks.per_subcategory == 10 and config.sft.select.keep == 60_000
    assert config.sft.dedup.threshold == 0.8 and config.cpt.dedup.threshold == 0.7
    assert config.sft.select.max_tokens == 16_384 and config.sft.select.min_percent == 80
    assert config.rl.prompts.count == 2000 and config.cpt.templates.count == 2000
    assert (config.reward.checklist, config.reward.similarity, config.reward.length) == (0.6, 0.3, 0.1)
    assert (config.reward.length_full, config.reward.length_zero) == (12_000, 16_000)
    assert config.train.sft.learning_rate == 5e-5 and config.train.sft.batch_size == 128
    assert config.train.grpo.learning_rate == 4e-6 and config.train.grpo.batch_prompts == 256


def test_the_demo_overlays_a_few_numbers_only() -> None:
    recipe_file = Path("profiles/demo/recipe.yaml")
    config = configs.load([CONFIG, recipe_file])
    assert config.endpoint("coder")[1].kind == "procedural"
    assert config.sft.dedup == configs.load([CONFIG]).sft.dedup
    assert len(recipe_file.read_text().splitlines()) < 120


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"sft": {"selekt": {}}}, "'sft.selekt' is not a key"),
        ({"sft": {"select": {"keep": 0}}}, "'sft.select.keep' is 0"),
        ({"roles": {"coder": "nobody"}}, "roles.coder names the endpoint 'nobody'"),
        ({"endpoints": {"minimax-m2": {"kind": "api", "url": "example.org"}}}, "needs `url`"),
        ({"endpoints": {"own": {"kind": "api", "url": "http://x/v1"}}}, "endpoints.own: an endpoint .* needs `model`"),
        ({"cpt": {"dedup": {"threshold": 0.7, "bands": 40, "rows": 6}}}, "exceeds permutations"),
        ({"train": {"sft": {"max_tokens": 1024}}}, "longer than train.sft.max_tokens"),
        ({"train": {"grpo": {"validate_prompts": 0}}}, "say -1 for all, or validate_every_steps: 0 for none"),
        ({"train": {"grpo": {"mini_batch_prompts": 7}}}, r": train.grpo: mini_batch_prompts \(7\) does not divide"),
    ],
)
def test_a_mistake_is_one_sentence_that_says_where(change: dict, sentence: str, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(yaml.safe_dump(change))
    with pytest.raises(UserError, match=sentence) as error:
        configs.load([CONFIG, overlay])
    assert "\n" not in str(error.value) and len(str(error.value)) < 300, "a sentence, not a section printed whole"


def test_what_the_configuration_takes_the_renderer_takes() -> None:
    """Else a run would end at its first page, after days of others."""
    for name, field in RenderSettings.model_fields.items():
        if field.annotation in (int, float):
            bounds = [getattr(one, key) for one in field.metadata for key in ("ge", "gt", "le") if hasattr(one, key)]
            assert len(bounds) == 2, f"render.{name} has no bound on one side"
            for value in bounds:
                RenderOptions(**{name: value})


def test_what_the_slow_tests_lay_over_the_demo_is_valid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A change of the demo's recipe would else be noticed an hour later, on the cluster."""
    monkeypatch.syspath_prepend("tests/cluster")
    whole_line, training, line = (
        importlib.import_module(name) for name in ("test_whole_line", "test_training", "line")
    )
    least = {**training.FEW, "train": {"sft": training.SFT, "grpo": training.GRPO}}
    for overlay in (whole_line.FEW, least, line.TWO):
        (tmp_path / "few.yaml").write_text(yaml.safe_dump(overlay))
        configs.load([CONFIG, Path("profiles/demo/recipe.yaml"), tmp_path / "few.yaml"])


def test_a_configuration_that_is_not_utf_8_is_one_sentence(tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_bytes("# für mich\nseed: 1\n".encode("latin-1"))
    with pytest.raises(UserError, match="overlay.yaml is not text in UTF-8"):
        configs.load([CONFIG, overlay])


def test_only_what_a_step_depends_on_changes_its_digest() -> None:
    values = yaml.safe_load(CONFIG.read_text())
    before = configs.from_dict(values)
    values["sft"]["score"]["asks"] = 9
    values["endpoints"]["minimax-m2"]["concurrency"] = 3
    values["endpoints"]["minimax-m2"]["url"] = "http://elsewhere.example.org/v1"
    after = configs.from_dict(values)
    changed = [name for name in recipe.STEPS if recipe.digest(before, name) != recipe.digest(after, name)]
    assert changed == ["sft/score", "eval/score"]
    values["sft"]["select"]["system"] = "Answer with a page."
    new = configs.from_dict(values)
    changed = [name for name in recipe.STEPS if recipe.digest(after, name) != recipe.digest(new, name)]
    assert changed == ["sft/select", "rl/parquet", "train/tiny_model", "eval/tasks"]


def test_how_long_is_waited_and_where_it_runs_reruns_no_step() -> None:
    values = yaml.safe_load(CONFIG.read_text())
    before = configs.from_dict(values)
    values["reward"]["patience_s"] = 5
    values["render"]["sandbox"] = "require"
    for trainer in ("cpt", "sft", "grpo"):
        values["train"][trainer] |= {"checkpoint_hf": True, "keep_checkpoints": 9, "threads": 1, "loader_workers": 0}
    values["train"]["sft"] |= {"tokens_per_gpu": 20_000, "max_tokens": 17_000}
    values["train"]["grpo"] |= {"least_scored": 0.1, "browsers": 1, "watch": {"failed": 0.5}}
    waits = configs.from_dict(values)
    assert [name for name in recipe.STEPS if recipe.digest(before, name) != recipe.digest(waits, name)] == []
    values["reward"]["asks"] = 9  # an answer of no use is a row of eval/judge, and none of what GRPO learns from
    values["render"]["timeout_s"] = 5
    values["train"]["sft"]["epochs"] = 5
    after = configs.from_dict(values)
    changed = [name for name in recipe.STEPS if recipe.digest(waits, name) != recipe.digest(after, name)]
    assert changed == ["sft/score", "rl/valid", "train/sft", "train/grpo", "eval/render", "eval/judge"]
    values["render"]["timeout_s"] = 10
    values["train"]["sft"]["epochs"] = 2
    asks = configs.from_dict(values)
    assert [name for name in recipe.STEPS if recipe.digest(waits, name) != recipe.digest(asks, name)] == ["eval/judge"]


def test_what_is_called_operational_is_a_field_of_its_section() -> None:
    """A name that is none would be a remedy that begins days of training again."""
    kinds: list[type[Section]] = [Section]
    for kind in kinds:
        kinds += kind.__subclasses__()
    named = [kind for kind in kinds if kind.OPERATIONAL]
    assert len(named) >= 7 and all(set(kind.model_fields) >= kind.OPERATIONAL for kind in named)


def test_whether_a_judge_sees_pictures_is_a_change_of_the_steps_that_show_it_some_and_of_no_request() -> None:
    values = yaml.safe_load(CONFIG.read_text())
    roles = dict.fromkeys(values["roles"], "minimax-m2")

    def seeing(vision: bool) -> configs.Config:
        endpoint = {**values["endpoints"]["minimax-m2"], "vision": vision}
        more = {"roles": roles, "endpoints": {**values["endpoints"], "minimax-m2": endpoint}}
        return configs.from_dict({**values, **more})

    before, after = seeing(False), seeing(True)
    changed = [name for name in recipe.STEPS if recipe.digest(before, name) != recipe.digest(after, name)]
    assert changed == ["cpt/websight", "sft/score", "train/grpo", "eval/judge", "eval/score"]
    assert before.endpoints["minimax-m2"].identity() == after.endpoints["minimax-m2"].identity()


def test_a_step_with_a_number_of_asks_asks_by_it() -> None:
    """A key that nobody reads would still rerun the step."""
    asked = [line.split(".asks = ") for line in lines(configs.Config) if ".asks = " in line]
    assert asked
    for section, said in asked:
        assert "`rejected`" in said  # what `Client.ask_json` makes of the last one
        place = Path("workflow/artifactscoder", *section.split("."))
        own = list(place.glob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
        texts = [(path, path.read_text()) for path in Path("workflow/artifactscoder").rglob("*.py")]
        readers = [text for path, text in texts if path in own or f"settings = config.{section}\n" in text]
        assert any("settings.asks" in text for text in readers), section


def test_the_models_of_a_run_are_listed_once() -> None:
    """By one name each: those that it trains, and those that it compares."""
    places = []
    for path in Path("workflow/artifactscoder").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Tuple | ast.List | ast.Set):
                named = tuple(ast.literal_eval(each) for each in node.elts if isinstance(each, ast.Constant))
                if named in (TRAINED, EVALUATED):
                    places.append(str(path.relative_to("workflow/artifactscoder")))
    assert places == ["config/train.py", "config/train.py"]


def test_written_configuration_reads_back_to_the_same(tmp_path: Path) -> None:
    config = configs.load([CONFIG, Path("profiles/demo/recipe.yaml")])
    configs.write(config, tmp_path / "config.yaml")
    assert configs.load([tmp_path / "config.yaml"]) == config


def test_a_configuration_read_again_is_the_same_to_the_last_digit(configure, tmp_path) -> None:
    """Journals name requests and renderings by digests of settings, so 10 and 10.0 would be two."""
    config = configure()
    configs.write(config, tmp_path / "config.yaml")
    again = configs.load([tmp_path / "config.yaml"])
    assert json.dumps(again.model_dump(mode="json")) == json.dumps(config.model_dump(mode="json"))


def test_a_section_given_in_part_keeps_the_other_defaults_of_its_place() -> None:
    values = yaml.safe_load(CONFIG.read_text())
    least = {"endpoints": values["endpoints"], "roles": values["roles"]}
    bare = configs.from_dict(least)
    changes = {"eval": {"sampling": {"max_tokens": 100}}, "cpt": {"dedup": {"threshold": 0.8}}, "sft": {"dedup": {}}}
    config = configs.from_dict({**least, **changes})
    assert (config.eval.sampling.max_tokens, config.eval.sampling.temperature) == (100, 0.0)
    assert (config.cpt.dedup.threshold, config.cpt.dedup.jobs) == (0.8, 16)
    assert config.sft == bare.sft and config.eval.tasks == bare.eval.tasks
    with pytest.raises(UserError, match=r"'eval\.sampling\.heat' is not a key"):
        configs.from_dict({**least, "eval": {"sampling": {"heat": 1}}})


@pytest.mark.parametrize("step", ["distinct_tasks", "distinct_variants"])
@pytest.mark.parametrize("change", [{"jobs": 4}, {"structure": "remove"}])
def test_what_does_nothing_to_short_texts_is_no_key_of_theirs(step: str, change: dict) -> None:
    values = yaml.safe_load(CONFIG.read_text())
    values["sft"][step] |= change
    with pytest.raises(UserError, match=rf"'sft\.{step}\.{next(iter(change))}' is not a key"):
        configs.from_dict(values)


def test_the_defaults_in_words_are_those_of_the_place() -> None:
    values = yaml.safe_load(CONFIG.read_text())
    bare = configs.from_dict({"endpoints": values["endpoints"], "roles": values["roles"]})
    table, said = page(configs.Config), "\n".join(lines(configs.Config))
    for key in (
        "reward.sampling.temperature",
        "eval.sampling.max_tokens",
        "cpt.dedup.jobs",
        "sft.distinct_tasks.bands",
    ):
        default = configs.select(bare, key)
        assert f"\n{key} = {default}   " in said
        assert re.search(rf"^\| `{key}` \| [^|]* \| `{default}` \|", table, re.MULTILINE), key


def test_the_reference_in_the_docs_is_that_of_the_typed_configuration() -> None:
    text = page(configs.Config)
    assert Path("docs/config.md").read_text() == text, "artifactscoder config reference > docs/config.md"
    keys = [line.split(" = ")[0] for line in lines(configs.Config) if " = " in line.split("   ")[0]]
    assert len(keys) > 300 and all(f"| `{key}` |" in text for key in keys)
    assert all(line.count("|") - line.count("\\|") == 5 for line in text.splitlines() if line.startswith("|"))

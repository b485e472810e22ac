"""A run without Snakemake: labels, names of files, stamps and messages."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from pipeline import run
from pipeline.run import Run
from pipeline.stamps import write_stamp
from wavs import make_dataset, write_wav
from wavspec.errors import WavspecError

CONFIG = {
    "path_pattern": r"(?P<label>[^/]+)/[^/]+\.wav",
    "clips": "",
    "hop": 0.96,
    "short_clips": "invalid",
    "long_clips": "invalid",
    "replace_results": False,
    "check_room": True,
}


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv(run.STAMPS_VARIABLE, "")
    dataset = make_dataset(tmp_path / "words", ["no", "üp"])
    return {**CONFIG, "dataset": f"{dataset}/", "results": f"{tmp_path}/./results"}


def rule(current, name, *outputs):
    files = [*outputs, current.stamps[name].path] if name in current.stamps else outputs
    return SimpleNamespace(name=name, output=files, log=[], wildcard_names=set())


def finish(current, stage, *outputs):
    """Do what the job of a stage does."""
    for output in outputs:
        os.makedirs(os.path.dirname(output), exist_ok=True)
        open(output, "w").close()
    os.makedirs(f"{current.results}/stamps", exist_ok=True)
    written = {output: output for output in outputs}
    messages = {"warnings": [f"{stage} warns"], "summary": [f"{stage} is done"]}
    write_stamp(current.stamps[stage].path, written, {}, messages)


def test_the_files_of_labels_are_in_row_order(config, tmp_path):
    current = Run(config, is_main=True)
    names = [
        os.path.relpath(file, tmp_path) for file in current.files("chunks/{label}.{digest}.npy")
    ]
    digests = [plan.digest for plan in current.labels.values()]
    assert names == [f"results/chunks/no.{digests[0]}.npy", f"results/chunks/üp.{digests[1]}.npy"]
    assert current.dataset == str(tmp_path / "words")


def test_a_job_on_a_node_gets_what_the_main_process_decided(config):
    main = Run(config, is_main=True)
    path = main.stamp("tables", "a")
    os.makedirs(main.results)
    with open(f"{main.results}/catalog.csv", "w", encoding="utf-8") as table:
        table.write("label,digest,clips\nno,0123456789ab,3\n")
    node = Run(config, is_main=False)
    assert node.files("{label}.{digest}") == [f"{main.results}/no.0123456789ab"]
    assert node.stamp("tables", "b") == path


def test_a_stamp_changes_with_what_the_stage_depends_on(config, tmp_path):
    current = Run(config, is_main=True)
    one = current.stamp("tables", [f"{current.results}/chunks/no.csv"], 10)
    assert current.stamp("tables", [f"{current.results}/chunks/no.csv"], 10) == one
    assert current.stamp("tables", [f"{current.results}/chunks/no.csv"], 11) != one
    assert current.stamp("pictures", [f"{current.results}/chunks/no.csv"], 10) != one
    moved = Run({**config, "results": str(tmp_path / "moved")}, is_main=True)
    again = moved.stamp("tables", [f"{moved.results}/chunks/no.csv"], 10)
    assert os.path.basename(again) == os.path.basename(one)


def test_only_targets_that_are_up_to_date_are_kept(config):
    current = Run(config, is_main=True)
    current.stamp("tables", "a")
    table = f"{current.results}/wavfile_df.csv"
    rules = [rule(current, "tables", table)]
    current.check_targets(rules, [table, "all"])
    finish(current, "tables", table)
    current.check_targets(rules, [table])
    current.stamp("tables", "b")
    with pytest.raises(WavspecError, match=r"is out of date\. Name its step instead: tables"):
        current.check_targets([rule(current, "tables", table)], [table])


def test_finished_stages_on_demand_are_included_if_all_else_is_up_to_date(config):
    current = Run(config, is_main=True)
    current.stamp("tables", "a")
    current.stamp("embeddings", "a", on_demand="embeddings")
    finish(current, "embeddings")
    assert current.finished_on_demand(forceall=False) == []
    current.labels.clear()
    finish(current, "tables")
    assert current.finished_on_demand(forceall=False) == [current.stamps["embeddings"].path]
    assert current.finished_on_demand(forceall=True) == []


def test_messages_are_those_of_the_stages_that_ran(config):
    current = Run(config, is_main=True)
    current.stamp("tables", "a")
    assert current.messages() == ([], [])
    finish(current, "tables")
    assert current.messages() == (["Warning: tables warns"], ["tables is done"])
    later = Run(config, is_main=True)
    later.stamp("tables", "a")
    # Nothing ran: the summary of the last run.
    assert later.messages() == ([], ["tables is done"])
    later.stamp("embeddings", "a", on_demand="embeddings")
    finish(later, "embeddings")
    assert later.messages() == (["Warning: embeddings warns"], ["embeddings is done"])


def test_the_plan_and_damage_are_printed(config, capsys):
    current = Run(config, is_main=True)
    current.stamp("tables", "a")
    table = f"{current.results}/wavfile_df.csv"
    finish(current, "tables", table)
    os.remove(table)
    later = Run(config, is_main=True)
    later.stamp("tables", "a")
    later.start([rule(later, "tables", table)])
    assert capsys.readouterr().err.splitlines() == [
        f"{table} is missing: tables will run again",
        "2 of 2 labels to compute: no, üp (new)",
    ]


@pytest.mark.parametrize(("long_clips", "fits"), [("invalid", True), ("cut", False)])
def test_the_room_is_checked_at_the_start(config, monkeypatch, long_clips, fits):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=800_000))
    write_wav(Path(config["dataset"]) / "no" / "long.wav", samples=20 * 16_000)
    current = Run({**config, "long_clips": long_clips}, is_main=True)
    if fits:
        current.start([])
    else:
        with pytest.raises(WavspecError, match="--config check_room=false"):
            current.start([])
    Run({**config, "long_clips": long_clips, "check_room": False}, is_main=True).start([])

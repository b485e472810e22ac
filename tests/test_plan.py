"""The plan that a run prints, and its checks before it starts."""

import os
import re
import shutil

import pytest
from pipeline.plan import LabelPlan, Plan, check_results, shortened
from wavs import SETTINGS, make_dataset, write_wav
from wavspec.clip import Clip
from wavspec.errors import WavspecError
from workflow import SNAKEMAKE, run


def other_dataset(folder):
    """A dataset with a label, but no clip, in common with that of the fixtures."""
    for number, label in enumerate(("no", "up")):
        write_wav(folder / label / "other.wav", seed=50 + number)
    return folder


def test_results_of_another_dataset_are_not_replaced(built, tmp_path):
    earlier = built.as_configured()
    built.dataset = other_dataset(tmp_path / "other")
    files = built.files()
    for arguments in ([], ["--dry-run"], ["spectrograms"]):
        process = built.snakemake(*arguments, check=False)
        assert process.returncode == 1
        assert process.stdout.splitlines()[-1] == (
            "config key 'results': 'results' has the results of another dataset, with clips such "
            f"as '{earlier}/go/0.wav'. '{built.as_configured()}' has 0 of its 6 clips. "
            "To keep these results, use another folder: --config results=NEW_FOLDER. "
            "To replace them: --config replace_results=true"
        )
    assert built.files() == files
    built.snakemake(replace_results="true")
    assert built.outputs() == built.expected()
    built.snakemake()


def test_the_catalogs_tell_another_dataset_where_no_table_does(built, tmp_path):
    (built.results / "wavfile_df.csv").unlink()
    for catalog in built.results.glob("catalog/no.*"):
        catalog.write_bytes(b"damaged")
    earlier = built.dataset
    built.dataset = other_dataset(tmp_path / "other")
    process = built.snakemake("--dry-run", check=False)
    assert process.returncode == 1 and "with clips such as 'go/0.wav'" in process.stdout
    built.dataset = earlier
    built.snakemake("--dry-run")


REFUSED = {
    "the dataset": ("words", "it is, or contains, the dataset"),
    "above the dataset": (".", "it is, or contains, the dataset"),
    "a folder of clips": ("words/no", "it is in a folder of clips, such as 'no/0.wav'"),
    "below a folder of clips": ("words/no/x/y", "it is in a folder of clips, such as 'no/0.wav'"),
    "a link to the dataset": ("link", "it is, or contains, the dataset"),
    "a file": ("words/no/0.wav", "0.wav' is not a folder"),
}


@pytest.mark.parametrize(("results", "cause"), REFUSED.values(), ids=REFUSED)
def test_results_among_the_clips_are_refused(tmp_path, results, cause):
    write_wav(tmp_path / "words" / "no" / "0.wav")
    (tmp_path / "link").symlink_to("words")
    clips = [Clip("no/0.wav", 32044, 1)]
    with pytest.raises(WavspecError, match=cause) as error:
        check_results(str(tmp_path / results), str(tmp_path / "words"), clips)
    assert "--config results=NEW_FOLDER" in str(error.value)


@pytest.mark.parametrize("results", ["words/results", "words/n", "results", "words2"])
def test_results_beside_the_clips_are_fine(tmp_path, results):
    write_wav(tmp_path / "words" / "no" / "0.wav")
    clips = [Clip("no/0.wav", 32044, 1)]
    check_results(str(tmp_path / results), str(tmp_path / "words"), clips)


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("summary.txt", "summary.txt"),
        ("logs/tables.log", "logs/tables.log"),
        ("invalid.csv/mine.txt", "invalid.csv"),
        ("pictures", "pictures"),
    ],
)
def test_files_of_the_user_are_not_replaced(workflow, name, named):
    own = workflow.results / name
    own.parent.mkdir(exist_ok=True, parents=True)
    own.write_text("of my holidays")
    process = workflow.snakemake(check=False)
    assert process.returncode == 1
    assert f"{named} exists, but 'results' has no results of this workflow" in process.stdout
    assert own.read_text() == "of my holidays"
    assert {path.name for path in workflow.results.rglob("*") if path.is_file()} == {
        *(own.name, "README.md")
    }


def test_files_of_the_user_are_replaced_on_request(workflow):
    workflow.results.mkdir(exist_ok=True)
    (workflow.results / "summary.txt").write_text("of my holidays")
    workflow.snakemake(replace_results="true")
    assert (workflow.results / "summary.txt").read_text().startswith("Warning")


def test_only_files_of_the_workflow_are_removed(built):
    """Names with a digest, and the endings that the workflow writes."""
    kept = [
        built.results / "chunks" / "mine.0123456789ab.wav",
        built.results / "catalog" / "mine.0123456789ab.npy",
        built.results / "chunks" / "mine.npy",
        built.results / "logs" / "spectrograms" / "mine.0123456789ab.txt",
    ]
    removed = built.results / "chunks" / "no.0123456789ab.npy"
    for path in (*kept, removed):
        path.write_text("text")
    built.snakemake("--forcerun", "concatenate")
    assert all(path.exists() for path in kept) and not removed.exists()


def all_new_but_one(dataset):
    for clip in sorted(dataset.rglob("*.wav"))[1:]:
        clip.unlink()
    other_dataset(dataset)


def all_new_in_the_same_folder(dataset):
    shutil.rmtree(dataset)
    other_dataset(dataset)


@pytest.mark.parametrize("change", [all_new_but_one, all_new_in_the_same_folder])
def test_a_dataset_that_changes_is_no_other(built, change):
    change(built.dataset)
    built.snakemake()
    assert built.outputs() == built.expected()


def copied_without_times(dataset, folder, changed):
    """A copy of the dataset without modification times, with so many changed clips."""
    copied = shutil.copytree(dataset, folder, copy_function=shutil.copyfile)
    for clip in sorted(copied.rglob("*.wav"))[:changed]:
        clip.write_bytes(b"of another size")
    return copied


def test_a_copied_dataset_of_which_half_is_left_is_no_other(built, tmp_path):
    built.dataset = copied_without_times(built.dataset, tmp_path / "copy", changed=3)
    built.snakemake("--dry-run")


def test_a_few_paths_and_sizes_in_common_make_no_moved_dataset(built, tmp_path):
    """Clips of one second have the same size, and two people can name them alike."""
    built.dataset = copied_without_times(built.dataset, tmp_path / "other", changed=4)
    process = built.snakemake("--dry-run", check=False)
    assert process.returncode == 1 and "has 2 of its 6 clips" in process.stdout


def plan_of(results, computed, missing):
    """The Plan of two labels of so many clips."""
    labels = {
        "computed": LabelPlan("0" * 12, range(computed)),
        "missing": LabelPlan("1" * 12, range(missing)),
    }
    return Plan(str(results), labels, ["missing"] if missing else [], {})


def test_a_dozen_labels_are_named():
    labels = [f"word{number:02d}" for number in range(13)]
    assert shortened(labels[:12]) == ", ".join(labels[:12])
    assert shortened(labels) == f"{', '.join(labels[:12])} and 1 more"


def test_too_little_room_is_refused_with_the_numbers(tmp_path):
    results = tmp_path / "not" / "yet there"
    clips = 2 * shutil.disk_usage(tmp_path).total // (2 * 8 * 96 * 64)
    with pytest.raises(WavspecError) as error:
        plan_of(results, 0, clips).check_room("dataset", SETTINGS)
    needed, free = map(float, re.findall(r"([\d,.]+) GB", str(error.value).replace(",", "")))
    assert needed == pytest.approx(clips * 2 * 8 * 96 * 64 / 1e9, abs=0.1)
    assert free < needed
    assert f"config key 'results': '{results}'" in str(error.value)
    assert "--config results=NEW_FOLDER" in str(error.value)
    assert "--config check_room=false" in str(error.value)


def test_room_is_needed_for_what_is_missing_alone(tmp_path):
    clips = 2 * shutil.disk_usage(tmp_path).total // (8 * 96 * 64)
    plan_of(tmp_path, clips, 0).check_room("dataset", SETTINGS)
    plan_of(tmp_path, 1, 1).check_room("dataset", SETTINGS)


def reasons(workflow, **config):
    """The reasons to compute labels from the output of a dry run, as {reason: labels}."""
    output = workflow.snakemake("--dry-run", **config).stdout
    [line] = re.findall(r"^\d+ of \d+ labels to compute: (.*)$", output, re.MULTILINE)
    return {reason: labels for labels, reason in re.findall(r"([\w, ]+) \((.*?)\)(?:; |$)", line)}


def test_the_reason_to_compute_says_which(built):
    assert reasons(built, short_clips="pad") == {"short_clips: invalid, now pad": "go, no, yes"}

    write_wav(built.dataset / "no" / "new.wav")
    shutil.copytree(built.dataset / "no", built.dataset / "up")
    assert reasons(built) == {"clips: 1 new": "no", "new": "up"}

    requirements = built.folder / "requirements" / "run.in"
    pinned = requirements.read_text()
    before = re.search(r"^soundfile==(.*)$", pinned, re.MULTILINE)[1]
    requirements.write_text(pinned.replace(f"soundfile=={before}", "soundfile==0.0.1"))
    changed = f"soundfile: {before}, now 0.0.1"
    assert reasons(built) == {changed: "go, yes", "clips: 1 new": "no", "new": "up"}
    requirements.write_text(pinned)

    with (built.folder / "workflow_scripts" / "wavspec" / "front_end.py").open("a") as code:
        code.write("CHANGED = 1\n")
    assert reasons(built)["code changed"] == "go, yes"
    shutil.rmtree(built.results)
    make_dataset(built.dataset)
    assert reasons(built) == {"new": "go, no, up, yes"}


def test_a_file_that_is_out_of_date_is_no_target(built):
    spectrograms = built.relative(built.results / "wavfile_spec.dat")
    assert built.planned(spectrograms) == set()
    write_wav(built.dataset / "no" / "0.wav", seed=7)
    process = built.snakemake(spectrograms, check=False)
    assert process.returncode == 1
    said = f"{spectrograms} is out of date. Name its step instead: concatenate"
    assert said in process.stdout
    built.snakemake("concatenate")
    assert built.planned(spectrograms) == set()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("split:\n\tvalidation: 10\n", "config.yaml, line 2, column 1: "),
        ("dataset: 'words\n", "config.yaml, line 2, column 1: "),
        ("dataset:words\nresults: x\n", "config.yaml, line 2, column 8: "),
    ],
    ids=["tab", "quote", "space"],
)
def test_errors_of_yaml_name_file_and_line(workflow, text, message):
    folder = workflow.folder / "elsewhere"
    folder.mkdir()
    (folder / "config.yaml").write_text(text)
    command = [SNAKEMAKE, "--cores", "1", "--snakefile", "../Snakefile", "-n"]
    process = run(command, folder, os.environ)
    assert process.returncode == 1 and "Traceback" not in process.stdout
    assert process.stdout.splitlines()[-1].startswith(message), process.stdout


def test_missing_weights_are_one_plain_message(built):
    process = built.snakemake("--dry-run", "embeddings", check=False)
    assert process.returncode == 1 and "Traceback" not in process.stdout
    assert process.stdout.splitlines()[-1].startswith("config key 'vggish_checkpoint': ")

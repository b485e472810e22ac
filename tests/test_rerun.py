"""What runs again after each kind of change, and that the outputs are those of a clean build.

A clean build's bytes are computed by the original front end and pandas (`expected_outputs`).
"""

import os
import shutil

import pytest
from wavs import expected_outputs, hashed, make_dataset, write_wav
from workflow import Workflow

ENDS = {"concatenate", "pictures", "tables"}
ALL_JOBS = {"catalog", "spectrograms go", "spectrograms no", "spectrograms yes", *ENDS}
JOBS_OF_NO = {"catalog", "spectrograms no", *ENDS}


def same_mtime(path, write):
    """Run `write`, then restore the mtime of `path`."""
    status = path.stat()
    write()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def older(path):
    os.utime(path, ns=(10**18, 10**18))


def change_in_place(folder):
    write_wav(folder / "0.wav", seed=7)


def change_size_but_not_mtime(folder):
    clip = folder / "0.wav"
    same_mtime(clip, lambda: write_wav(clip, seed=7, samples=17_000))


def replace_by_older(folder):
    older(write_wav(folder / "0.wav", seed=7))


def move_to_a_deeper_folder(folder):
    deeper = folder / "deeper" / folder.name
    deeper.mkdir(parents=True)
    (folder / "0.wav").rename(deeper / "0.wav")


CHANGES_IN_A_LABEL = {
    "clip added": lambda folder: write_wav(folder / "new.wav", seed=7),
    "clip added with an old mtime": lambda folder: older(write_wav(folder / "new.wav", seed=7)),
    "clip changed in place": change_in_place,
    "clip of another length with the same mtime": change_size_but_not_mtime,
    "clip replaced by an older file": replace_by_older,
    "clip renamed": lambda folder: (folder / "0.wav").rename(folder / "9.wav"),
    "clip removed": lambda folder: (folder / "0.wav").unlink(),
    "clip moved to a folder of the same name": move_to_a_deeper_folder,
}


def test_a_clean_build_runs_every_job_once_and_then_nothing(workflow):
    assert workflow.run() == ALL_JOBS
    assert workflow.outputs() == workflow.expected()
    assert workflow.run() == set()


def test_a_change_in_a_label_redoes_that_label_alone(tmp_path):
    """Each label has the name of the change in it."""
    labels = [*CHANGES_IN_A_LABEL, "no change"]
    workflow = Workflow(tmp_path / "project", make_dataset(tmp_path / "dataset", labels))
    workflow.snakemake()
    for label, change in CHANGES_IN_A_LABEL.items():
        change(workflow.dataset / label)
    changed = {f"spectrograms {label}" for label in CHANGES_IN_A_LABEL}
    assert workflow.run() == {"catalog", *changed, *ENDS}
    assert workflow.outputs() == workflow.expected()
    # The earlier chunk and catalog are deleted.
    for label in labels:
        assert workflow.chunk(label).exists() and workflow.catalog(label).exists()


def test_labels_that_come_and_go(built):
    shutil.move(built.dataset / "no", built.folder / "aside")
    assert built.run() == {"catalog", *ENDS}
    assert built.outputs() == built.expected()
    assert not list(built.results.glob("c*/no.*"))

    write_wav(built.dataset / "bed" / "0.wav", seed=7)
    assert built.run() == {"catalog", "spectrograms bed", *ENDS}
    assert built.outputs() == built.expected()

    shutil.move(built.folder / "aside", built.dataset / "no")
    write_wav(built.dataset / "no" / "0.wav", seed=8)
    assert built.run() == JOBS_OF_NO
    assert built.outputs() == built.expected()


def test_a_label_gone_while_the_records_are_gone(built):
    shutil.rmtree(built.dataset / "no")
    shutil.rmtree(built.folder / ".snakemake")
    assert built.run() == {"catalog", *ENDS}
    assert built.outputs() == built.expected()


def test_a_moved_dataset_redoes_the_tables_alone(built, tmp_path):
    array = (built.results / "wavfile_spec.dat").stat()
    built.dataset = shutil.move(built.dataset, tmp_path / "elsewhere")
    assert built.run() == {"tables"}
    assert built.outputs() == built.expected()
    now = (built.results / "wavfile_spec.dat").stat()
    assert (now.st_ino, now.st_mtime_ns) == (array.st_ino, array.st_mtime_ns)


def test_a_clip_exchanged_and_exchanged_back(built):
    clip, aside = built.dataset / "no" / "0.wav", built.folder / "aside.wav"
    clip.rename(aside)
    write_wav(clip, seed=9)
    assert built.run() == JOBS_OF_NO
    aside.rename(clip)
    assert built.run() == JOBS_OF_NO
    assert built.outputs() == built.expected()

    clip.rename(aside)
    write_wav(clip, seed=9)
    built.planned()
    aside.rename(clip)
    assert built.run() == set()


def move(results):
    return results.rename(results.parent / "moved")


def copy(results):
    return shutil.copytree(results, results.parent / "copied")


def copy_with_new_times(results):
    copied = shutil.copytree(results, results.parent / "copied", copy_function=shutil.copy)
    for number, path in enumerate(sorted(copied.rglob("*"), reverse=True)):
        os.utime(path, (1.7e9 + number, 1.7e9 + number))
    return copied


@pytest.mark.parametrize("take_away", [move, copy, copy_with_new_times])
def test_results_that_were_moved_or_copied_are_as_good_as_before(built, take_away):
    built.results = take_away(built.results)
    assert built.run() == set()
    change_in_place(built.dataset / "no")
    assert built.run() == JOBS_OF_NO
    assert built.outputs() == built.expected()


def test_a_change_is_seen_although_the_results_were_copied_after_it(built):
    change_in_place(built.dataset / "no")
    built.results = copy_with_new_times(built.results)
    assert built.run() == JOBS_OF_NO
    assert built.outputs() == built.expected()


def test_an_older_copy_put_back_is_brought_up_to_date(built):
    backup = shutil.copytree(built.results, built.folder / "backup")
    change_in_place(built.dataset / "no")
    built.snakemake()
    shutil.rmtree(built.results)
    backup.rename(built.results)
    assert built.run() == JOBS_OF_NO
    assert built.outputs() == built.expected()


def test_an_older_copy_laid_over_the_results_is_noticed(built):
    backup = shutil.copytree(built.results, built.folder / "backup")
    change_in_place(built.dataset / "no")
    built.snakemake()
    shutil.copytree(backup, built.results, dirs_exist_ok=True)
    assert built.run() == {"catalog", *ENDS}
    assert built.outputs() == built.expected()


def test_snakemakes_records_are_not_needed(built):
    for records in (".snakemake/metadata", ".snakemake"):
        shutil.rmtree(built.folder / records)
        assert built.run() == set()
    change_in_place(built.dataset / "no")
    assert built.run() == JOBS_OF_NO
    assert built.outputs() == built.expected()


@pytest.mark.parametrize("records", [".snakemake/metadata", ".snakemake"])
def test_a_change_is_seen_without_snakemakes_records(built, records):
    change_in_place(built.dataset / "no")
    shutil.rmtree(built.folder / records)
    assert built.run() == JOBS_OF_NO
    assert built.outputs() == built.expected()


def test_chunks_of_other_code_put_back_are_not_used(built):
    backup = shutil.copytree(built.results / "chunks", built.folder / "backup")
    front_end = built.folder / "workflow_scripts" / "wavspec" / "front_end.py"
    front_end.write_text(front_end.read_text().replace("LOG_OFFSET = 0.01", "LOG_OFFSET = 0.02"))
    built.snakemake()
    changed = built.outputs()
    shutil.copytree(backup, built.results / "chunks", dirs_exist_ok=True)
    change_in_place(built.dataset / "no")
    assert built.run() == JOBS_OF_NO
    assert built.outputs() != changed
    assert built.outputs()[0] != built.expected()[0]


def test_another_clone_goes_on_with_the_results(built, tmp_path):
    other = Workflow(tmp_path / "another", built.dataset)
    other.results = built.results
    assert other.run() == set()
    change_in_place(built.dataset / "no")
    assert other.run() == JOBS_OF_NO


def test_two_datasets_that_share_a_results_folder_are_never_taken_for_each_other(built, tmp_path):
    other = Workflow(tmp_path / "another", make_dataset(tmp_path / "other", ["no", "up"], clips=3))
    other.results = built.results
    for workflow in (other, built, other):
        workflow.snakemake(replace_results="true")
        assert workflow.outputs() == workflow.expected()


def test_a_moved_workflow_goes_on_where_it_was(built, tmp_path):
    built.folder = built.folder.rename(tmp_path / "elsewhere")
    built.results = built.folder / "results"
    assert built.run() == set()


def test_settings_that_do_not_touch_the_values_redo_nothing(built):
    settings = ["--set-resources", "spectrograms:mem_mb=900", "--set-threads", "spectrograms=2"]
    assert built.planned(*settings) == set()


def test_any_rerun_triggers_will_do(built, tmp_path):
    triggers = ["--rerun-triggers", "mtime", "params", "input", "code", "software-env"]
    change_in_place(built.dataset / "no")
    built.snakemake(*triggers)
    assert built.outputs() == built.expected()
    built.dataset = built.dataset.rename(tmp_path / "moved")
    built.snakemake(*triggers)
    assert built.planned(*triggers) == set()


def test_a_run_of_the_catalog_alone_leaves_the_rest_to_the_next(built):
    change_in_place(built.dataset / "no")
    built.snakemake("catalog")
    assert built.run() == JOBS_OF_NO - {"catalog"}
    assert built.outputs() == built.expected()


def test_the_bytes_do_not_depend_on_the_number_of_cores(built, tmp_path):
    of_two = built.outputs()
    for cores in (1, 4):
        built.results = tmp_path / f"of_{cores}"
        built.snakemake(cores=cores)
        assert built.outputs() == of_two


def test_relative_folders(workflow):
    workflow.dataset.rename(workflow.folder / "clips")
    workflow.results = workflow.folder / "out"
    workflow.snakemake(dataset="clips", results="out")
    assert workflow.outputs() == hashed(
        expected_outputs(workflow.folder / "clips", as_configured="clips")
    )


def test_short_clips_are_padded_when_asked_for(built):
    write_wav(built.dataset / "no" / "short.wav", samples=10_000)
    (built.dataset / "yes" / "empty.wav").write_bytes(b"")
    built.snakemake()
    invalid = built.outputs()
    jobs = {*ALL_JOBS}
    assert built.run(short_clips="pad") == jobs
    table = (built.results / "wavfile_df.csv").read_text()
    assert "no/short.wav,no,True" in table and "yes/empty.wav,yes,False" in table
    assert built.run() == jobs
    assert built.outputs() == invalid

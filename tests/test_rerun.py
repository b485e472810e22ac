"""What runs again after each kind of change, and that the outputs are those of a clean build.

A clean build's bytes are computed by the original front end and pandas (`expected_outputs`).
"""

import os
import shutil

import pytest
from conftest import Workflow, expected_outputs, write_wav

ALL_JOBS = {
    *(f"{rule} {label}" for rule in ("catalog", "spectrograms") for label in ("go", "no", "yes")),
    "concatenate",
}
JOBS_OF_NO = {"catalog no", "spectrograms no", "concatenate"}


@pytest.fixture
def built(workflow):
    """The workflow after a clean build."""
    workflow.snakemake()
    return workflow


def same_mtime(path, write):
    """Run `write`, then give `path` back its mtime."""
    status = path.stat()
    write()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def older(path):
    os.utime(path, ns=(10**18, 10**18))


def change_in_place(no):
    write_wav(no / "0.wav", seed=7)


def change_size_but_not_mtime(no):
    same_mtime(no / "0.wav", lambda: write_wav(no / "0.wav", seed=7, samples=17_000))


def replace_by_older(no):
    older(write_wav(no / "0.wav", seed=7))


CHANGES_IN_ONE_LABEL = {
    "clip added": lambda no: write_wav(no / "new.wav", seed=7),
    "clip added with an old mtime": lambda no: older(write_wav(no / "new.wav", seed=7)),
    "clip changed in place": change_in_place,
    "clip of another length, same mtime": change_size_but_not_mtime,
    "clip replaced by an older file": replace_by_older,
    "clip renamed": lambda no: (no / "0.wav").rename(no / "9.wav"),
    "clip removed": lambda no: (no / "0.wav").unlink(),
    "clip moved to a folder of the same name": lambda no: shutil.move(
        no / "0.wav", (no / "deeper" / "no").mkdir(parents=True) or no / "deeper" / "no" / "0.wav"
    ),
}


def test_a_clean_build_runs_every_job_once_and_then_nothing(workflow):
    assert workflow.run() == ALL_JOBS
    assert workflow.outputs() == expected_outputs(workflow.dataset)
    assert workflow.run() == set()


@pytest.mark.parametrize("change", CHANGES_IN_ONE_LABEL.values(), ids=CHANGES_IN_ONE_LABEL)
def test_a_change_in_a_label_redoes_that_label_alone(built, change):
    change(built.dataset / "no")
    assert built.run() == JOBS_OF_NO
    assert built.outputs() == expected_outputs(built.dataset)


def test_labels_that_come_and_go(built):
    shutil.move(built.dataset / "no", built.folder / "aside")
    assert built.run() == {"concatenate"}
    assert built.outputs() == expected_outputs(built.dataset)

    write_wav(built.dataset / "bed" / "0.wav", seed=7)
    assert built.run() == {"catalog bed", "spectrograms bed", "concatenate"}
    assert built.outputs() == expected_outputs(built.dataset)

    shutil.move(built.folder / "aside", built.dataset / "no")
    write_wav(built.dataset / "no" / "0.wav", seed=8)
    assert built.run() == JOBS_OF_NO
    assert built.outputs() == expected_outputs(built.dataset)


def test_a_moved_dataset_redoes_the_concatenation_alone(built, tmp_path):
    moved = shutil.move(built.dataset, tmp_path / "elsewhere")
    built.dataset = moved
    assert built.run() == {"concatenate"}
    assert built.outputs() == expected_outputs(moved)


@pytest.mark.parametrize("module", ["front_end", "spectrograms"])
def test_changed_code_of_the_front_end_redoes_every_chunk(built, module):
    with (built.folder / "workflow_scripts" / f"{module}.py").open("a") as file:
        file.write("# changed\n")
    assert built.run() == {
        "spectrograms go",
        "spectrograms no",
        "spectrograms yes",
        "concatenate",
    }
    assert built.outputs() == expected_outputs(built.dataset)


def test_changed_code_with_an_old_mtime_redoes_every_chunk(built):
    module = built.folder / "workflow_scripts" / "front_end.py"
    module.write_text(module.read_text() + "# changed\n")
    older(module)
    assert "spectrograms go" in built.run()


def test_code_touched_but_not_changed_redoes_nothing(built):
    (built.folder / "workflow_scripts" / "front_end.py").touch()
    assert built.run() == set()


def test_a_moved_workflow_goes_on_where_it_was(built, tmp_path):
    built.folder = built.folder.rename(tmp_path / "elsewhere")
    built.results = built.folder / "results"
    assert built.run() == set()


@pytest.mark.parametrize("elsewhere", ["another clone", "records deleted", "results copied"])
def test_results_without_their_records_are_never_taken_for_up_to_date(built, tmp_path, elsewhere):
    change_in_place(built.dataset / "no")
    results = built.results
    if elsewhere == "records deleted":
        shutil.rmtree(built.folder / ".snakemake")
    else:
        built = Workflow(tmp_path / "another", built.dataset)
        if elsewhere == "results copied":  # over results of its own, of an equal dataset
            built.snakemake()
            shutil.rmtree(built.results)
            shutil.copytree(results, built.results)
            results = built.results
        else:
            built.results = results
    before = built.outputs()
    for arguments in ((), ("--dry-run",)):
        process = built.snakemake(*arguments, check=False, results=results)
        assert process.returncode == 1 and "catalog" in process.stdout
    assert built.outputs() == before

    shutil.rmtree(results / "catalog")
    shutil.rmtree(results / "chunks")
    assert built.run(results=results) == ALL_JOBS
    assert built.outputs() == expected_outputs(built.dataset)
    assert built.run(results=results) == set()


def test_settings_that_do_not_touch_the_values_redo_nothing(built):
    settings = ["--set-resources", "spectrograms:mem_mb=900", "--set-threads", "spectrograms=2"]
    assert built.planned(*settings) == set()


def test_a_run_of_some_chunks_alone_leaves_the_rest_to_the_next(built):
    change_in_place(built.dataset / "no")
    built.snakemake("results/catalog/no.csv")
    assert built.run() == {"spectrograms no", "concatenate"}
    assert built.outputs() == expected_outputs(built.dataset)


def test_the_bytes_do_not_depend_on_the_number_of_cores(workflow, tmp_path):
    workflow.snakemake(cores=1)
    one = workflow.outputs()
    workflow.results = tmp_path / "four"
    workflow.snakemake(cores=4, results=workflow.results)
    assert workflow.outputs() == one


def test_relative_folders(workflow):
    workflow.dataset.rename(workflow.folder / "clips")
    workflow.results = workflow.folder / "out"
    workflow.snakemake(dataset="clips", results="out")
    assert workflow.outputs() == expected_outputs(workflow.folder / "clips", as_configured="clips")

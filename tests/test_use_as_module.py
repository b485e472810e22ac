"""The workflow from elsewhere: as a module of another workflow, and from another folder.

The copy of the project is read-only, as if installed for all users.
"""

import re
import shutil

import pytest
from wavs import expected_outputs, hashed, make_dataset, write_wav
from workflow import STAGES, Workflow

OTHER_WORKFLOW = """\
configfile: "config.yaml"

module spectrograms:
    snakefile: "{project}/Snakefile"
    config: {{"dataset": "clips", "results": "derived/spectrograms"}}

use rule * from spectrograms as spectrograms_*

rule count_clips:
    default_target: True
    input: rules.spectrograms_all.input, clips="derived/spectrograms/wavfile_df.csv"
    output: "derived/clips.txt"
    shell: "tail -n +2 {{input.clips}} | wc -l > {{output}}"
"""
JOBS = {
    *("catalog", "spectrograms go", "spectrograms no", "spectrograms yes"),
    *("tables", "concatenate", "pictures"),
}


class Elsewhere(Workflow):
    """Snakemake, called in another folder than the project's."""

    arguments = ()

    def __init__(self, project, folder):
        self.stages = {*STAGES, *(f"spectrograms_{stage}" for stage in STAGES), "count_clips"}
        super().__init__(project, make_dataset(folder / "clips"))
        self.project = project
        self.folder = folder
        self.results = folder / "derived" / "spectrograms"

    def command(self, *arguments, cores=2, **config):
        snakemake, *_ = super().command()
        pairs = [f"{key}={value}" for key, value in config.items()]
        config = ["--config", *pairs] if pairs else []
        return [snakemake, "--cores", str(cores), *self.arguments, *arguments, *config]

    def files(self):
        """{file: mtime in ns} of everything in the project and in the folder."""
        return {
            path: path.stat().st_mtime_ns
            for folder in (self.project, self.folder)
            for path in folder.rglob("*")
            if path.is_file() and not {".snakemake", "__pycache__"} & {*path.parts}
        }

    def files_of_the_project(self):
        return {path for path in self.files() if path.is_relative_to(self.project)}


@pytest.fixture
def elsewhere(tmp_path):
    return Elsewhere(tmp_path / "project", tmp_path / "elsewhere")


def test_as_a_module_of_another_workflow(elsewhere):
    project = elsewhere.files_of_the_project()
    snakefile = elsewhere.folder / "Snakefile"
    snakefile.write_text(OTHER_WORKFLOW.format(project=elsewhere.project))
    (elsewhere.folder / "config.yaml").write_text("another_key: 1\n")
    for clips, jobs in {6: JOBS, 7: JOBS - {"spectrograms go", "spectrograms yes"}}.items():
        planned = {job.removeprefix("spectrograms_") for job in elsewhere.planned()}
        assert planned == {*jobs, "count_clips"}
        elsewhere.snakemake()
        assert (elsewhere.folder / "derived" / "clips.txt").read_text().strip() == str(clips)
        assert elsewhere.outputs() == hashed(
            expected_outputs(elsewhere.dataset, as_configured="clips")
        )
        assert elsewhere.planned() == set()
        # The other workflow's configuration is not this one's.
        assert configuration_said(elsewhere) == []
        files = elsewhere.files()
        elsewhere.snakemake()
        assert elsewhere.files() == files
        write_wav(elsewhere.dataset / "no" / "new.wav", seed=7)
    assert elsewhere.files_of_the_project() == project


def test_from_another_folder(elsewhere):
    project = elsewhere.files_of_the_project()
    elsewhere.arguments = ("--snakefile", elsewhere.project / "Snakefile")
    config = {"dataset": "clips", "results": "derived/spectrograms"}
    assert elsewhere.run(**config) == JOBS
    assert elsewhere.outputs() == hashed(expected_outputs(elsewhere.dataset, as_configured="clips"))
    assert elsewhere.run(**config) == set()
    assert elsewhere.files_of_the_project() == project


def configuration_said(workflow, *arguments, **config):
    output = workflow.snakemake("--dry-run", *arguments, **config).stdout
    return re.findall("^Configuration: .*$", output, re.MULTILINE)


def test_a_configuration_goes_on_top_of_the_projects(elsewhere):
    elsewhere.arguments = ("--snakefile", elsewhere.project / "Snakefile")
    config = {"dataset": "clips", "results": "derived/spectrograms"}
    assert elsewhere.run(**config) == JOBS
    assert configuration_said(elsewhere, **config) == []

    # Keys that it lacks are as in the project's.
    text = "".join(f"{key}: {value}\n" for key, value in config.items())
    (elsewhere.folder / "config.yaml").write_text(text)
    assert elsewhere.run() == set()
    said = "Configuration: {}, with defaults from ../project/config.yaml"
    assert configuration_said(elsewhere) == [said.format("config.yaml")]
    assert "spectrograms go" in elsewhere.planned(short_clips="pad")

    (elsewhere.folder / "config.yaml").rename(elsewhere.folder / "mine.yaml")
    arguments = ["--configfile", "mine.yaml"]
    assert elsewhere.planned(*arguments) == set()
    assert configuration_said(elsewhere, *arguments) == [said.format("mine.yaml")]
    own = ["--configfile", elsewhere.project / "config.yaml"]
    assert configuration_said(elsewhere, *own, **config) == []


QUESTIONS = ["--dry-run", "--summary", "--list", "--lint", "--dag"]


def test_questions_change_no_file(elsewhere):
    """Before the first run, and after changes of labels, clips, chunks and outputs."""
    elsewhere.arguments = ("--snakefile", elsewhere.project / "Snakefile")
    config = {"dataset": "clips", "results": "derived/spectrograms"}

    def ask():
        files = elsewhere.files()
        for question in QUESTIONS:
            elsewhere.snakemake(question, **config)
            assert elsewhere.files() == files, question

    ask()
    elsewhere.snakemake(**config)
    write_wav(elsewhere.dataset / "new" / "0.wav", seed=7)
    (elsewhere.dataset / "go" / "0.wav").unlink()
    shutil.rmtree(elsewhere.dataset / "yes")
    elsewhere.chunk("no").unlink()
    (elsewhere.results / "wavfile_df.csv").unlink()
    ask()
    assert elsewhere.planned(**config) == {*JOBS, "spectrograms new"} - {"spectrograms yes"}

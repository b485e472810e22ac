"""The embeddings: values compared with the network in plain numpy, and what is recomputed.

The weights are random, with a seed; the released ones are tested if they are installed.
"""

import importlib.util
import os
import re
import shutil
from types import SimpleNamespace

import damage
import numpy as np
import pandas as pd
import pytest
import yaml
from concatenate import concatenate
from embeddings import (
    LabelToEmbed,
    embed,
    embed_label,
    labels_of,
    load_pca,
    postprocess,
    write_outputs,
    write_table,
)
from numpy.lib.stride_tricks import sliding_window_view
from pipeline.digests import content_hash, digest
from pipeline.labels import read_rows
from random_vggish import SHAPES, save_v1
from spectrograms import write_chunk
from tables import write_tables
from wavs import SETTINGS, make_dataset, write_catalog, write_wav
from wavspec.audio import samples_to_examples
from wavspec.dataset import find_clips
from wavspec.errors import WavspecError
from workflow import ROOT, Workflow, kill_group, wait_until

needs_tensorflow = pytest.mark.tensorflow
# One process makes the checkpoints, of 288 MB each, and imports TensorFlow.
pytestmark = [
    pytest.mark.xdist_group("embeddings"),
    pytest.mark.filterwarnings("error::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:.*is deprecated:UserWarning:tensorflow"),
]

POOLED = ("conv1", "conv2", "conv3/conv3_2", "conv4/conv4_2")

OUTPUTS = {
    "embeddings": "wavfile_embed.dat",
    "pca": "wavfile_embed_pca.npy",
    "table": "wavfile_embed.csv",
}


def forward(weights, examples):
    """The (n, 128) embeddings of (n, 96, 64) examples, in float64 with numpy only."""
    net = examples.astype(np.float64)[..., np.newaxis]
    for layer, shape in SHAPES.items():
        kernel = weights[f"vggish/{layer}/weights"].astype(np.float64)
        if len(shape) == 4:
            padded = np.pad(net, [(0, 0), (1, 1), (1, 1), (0, 0)])
            windows = sliding_window_view(padded, (3, 3), axis=(1, 2))
            net = np.tensordot(windows, kernel, axes=([4, 5, 3], [0, 1, 2]))
        else:
            net = net.reshape(len(net), -1) @ kernel
        net += weights[f"vggish/{layer}/biases"]
        if layer != "fc2":
            net = np.maximum(net, 0)
        if layer in POOLED:
            n, height, width, channels = net.shape
            net = net.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))
    return net


class Stage:
    """The stages of the workflow on a dataset, as functions and without Snakemake."""

    def __init__(self, folder, dataset, vggish, as_configured=None):
        self.folder, self.dataset, self.vggish = folder, dataset, vggish
        self.as_configured = as_configured or dataset
        self.clips = folder / "wavfile_df.csv"
        (folder / "embeddings").mkdir(parents=True)

    def prepare(self):
        """Compute the inputs of the embeddings from scratch; return (tables, chunks)."""
        tables, chunks = [], []
        for label in find_clips(self.dataset).labels:
            catalog, digest = write_catalog(self.dataset, label, self.folder)
            chunk = self.folder / f"{label}.{digest}.npy"
            table = chunk.with_suffix(".csv")
            write_chunk(self.dataset, catalog, chunk, table, SETTINGS)
            tables.append(table)
            chunks.append(chunk)
        concatenate(chunks, self.folder / "spectrograms")
        write_tables(self.rows(tables), self.clips, self.folder / "invalid")
        return tables, chunks

    def rows(self, tables):
        rows = read_rows(tables, SETTINGS)
        return rows.assign(file_name=[f"{self.as_configured}/{path}" for path in rows.path])

    def embed(self, inputs=None, checkpoint=None, threads=2):
        """Run both stages; return the labels whose embeddings were computed."""
        before = self.parts()
        tables, chunks = inputs or self.prepare()
        checkpoint = checkpoint or self.vggish.v1
        rows, network = self.rows(tables), digest(*map(content_hash, checkpoint))
        labels = labels_of(rows, chunks, self.folder / "embeddings", network)
        outputs = SimpleNamespace(**{name: self.folder / file for name, file in OUTPUTS.items()})
        embed(labels, checkpoint, threads)
        write_outputs(labels, self.vggish.pca, outputs)
        write_table(rows, outputs.embeddings, outputs.table)
        return {label_of(path) for path in self.parts() - before}

    def parts(self):
        return set(self.folder.glob("embeddings/*"))

    def outputs(self):
        return {name: (self.folder / file).read_bytes() for name, file in OUTPUTS.items()}


def label_of(part):
    return part.name.split(".")[0]


def embeddings_in(path):
    return np.fromfile(path).reshape(-1, 128)


@pytest.fixture
def stage(tmp_path, vggish_files):
    """The stage on three labels of two valid clips each."""
    return Stage(tmp_path / "results", make_dataset(tmp_path / "dataset"), vggish_files)


@pytest.fixture
def quick(monkeypatch):
    """Batches of 4 instead of 64, for tests that do not compare values."""
    if importlib.util.find_spec("tensorflow"):
        monkeypatch.setattr("wavspec.vggish.BATCH_SIZE", 4)


def clean_build(stage, folder):
    """The outputs of another stage on the same dataset, without earlier results."""
    clean = Stage(folder, stage.dataset, stage.vggish)
    clean.embed()
    return clean.outputs()


@needs_tensorflow
def test_each_row_is_the_embedding_of_the_clip_that_the_table_names(quick, stage, vggish_files):
    write_wav(stage.dataset / "go" / "00.wav", samples=8_000)
    write_wav(stage.dataset / "yes" / "quoted, and long.wav", samples=48_000)
    assert stage.embed() == {"go", "no", "yes"}

    spectrograms = np.fromfile(stage.folder / "spectrograms").reshape(-1, 96, 64)
    clips = pd.read_csv(stage.clips, index_col=0)
    valid = clips["valid"].to_numpy()
    assert valid.tolist() == [True, False, True, True, True, True, True, False]

    embeddings = embeddings_in(stage.folder / OUTPUTS["embeddings"])
    expected = forward(vggish_files.weights, spectrograms[valid])
    assert embeddings.shape == (8, 128)
    assert np.isnan(embeddings[~valid]).all()
    np.testing.assert_allclose(embeddings[valid], expected, atol=1e-4 * expected.std())
    # Otherwise the comparison would prove little.
    assert expected.std() > 0.1
    assert np.ptp(expected, axis=0).min() > 1e-3 * expected.std()

    codes = np.load(stage.folder / OUTPUTS["pca"])
    assert codes.dtype == np.uint8
    assert not codes[~valid].any()
    for row in np.flatnonzero(valid):
        for column in range(128):
            centred = embeddings[row].astype(float) - vggish_files.means
            p = sum(a * b for a, b in zip(vggish_files.axes[column], centred, strict=True))
            assert codes[row, column] == int((min(max(p, -2), 2) + 2) * 255 / 4)
    assert codes[valid].std() > 20

    table = pd.read_csv(stage.folder / OUTPUTS["table"], index_col=0)
    assert list(table.columns) == [*clips.columns, *(f"e{number}" for number in range(128))]
    pd.testing.assert_frame_equal(table[clips.columns], clips)
    np.testing.assert_array_equal(
        table.iloc[:, 3:].to_numpy(np.float32), embeddings.astype(np.float32)
    )


def test_codes_are_clipped_and_truncated():
    axes, means = np.eye(128), np.full(128, 0.5)
    values = np.array([[-9, -1.5, -1.49, 0.5, 2.48, 2.5, 9]], np.float32)
    embeddings = np.pad(values, [(0, 0), (0, 121)])
    assert postprocess(embeddings, axes, means)[0, :7].tolist() == [0, 0, 0, 127, 253, 255, 255]


@needs_tensorflow
def test_both_formats_of_checkpoint_are_read(quick, stage, vggish_files, tmp_path):
    stage.embed(checkpoint=vggish_files.v2)
    assert stage.outputs() == clean_build(stage, tmp_path / "clean")


@needs_tensorflow
def test_the_bytes_depend_neither_on_threads_nor_on_the_company(stage, tmp_path):
    for clip in range(70):
        write_wav(stage.dataset / "no" / f"more{clip}.wav", seed=1000 + clip)
    stage.embed(threads=1)
    together = embeddings_in(stage.folder / OUTPUTS["embeddings"])
    shutil.rmtree(stage.dataset / "go")
    for clip in range(35):
        (stage.dataset / "no" / f"more{clip}.wav").unlink()
    stage.embed(threads=2)
    fewer = embeddings_in(stage.folder / OUTPUTS["embeddings"])
    assert fewer.shape == (39, 128)
    assert {row.tobytes() for row in fewer} < {row.tobytes() for row in together}


@needs_tensorflow
def test_a_change_embeds_the_labels_that_it_touches(quick, stage, tmp_path):
    assert stage.embed() == {"go", "no", "yes"}
    assert stage.embed() == set()

    write_wav(stage.dataset / "no" / "0.wav", seed=7)
    write_wav(stage.dataset / "new" / "0.wav", seed=8)
    shutil.rmtree(stage.dataset / "go")
    assert stage.embed() == {"new", "no"}
    assert stage.outputs() == clean_build(stage, tmp_path / "clean")

    stage.dataset = stage.as_configured = stage.dataset.rename(tmp_path / "moved")
    assert stage.embed() == set()
    assert stage.outputs() == clean_build(stage, tmp_path / "clean of moved")


@needs_tensorflow
def test_another_checkpoint_embeds_all_and_a_lost_part_its_label(quick, stage, vggish_files):
    stage.embed()
    first = stage.outputs()
    before = stage.parts()
    assert stage.embed(checkpoint=vggish_files.v2) == {"go", "no", "yes"}
    next(part for part in before if label_of(part) == "no").unlink()
    assert stage.embed() == {"no"}
    assert stage.outputs() == first


@needs_tensorflow
def test_a_dataset_without_a_valid_clip(tmp_path, vggish_files):
    write_wav(tmp_path / "dataset" / "go" / "0.wav", samples=100)
    stage = Stage(tmp_path / "results", tmp_path / "dataset", vggish_files)
    stage.embed()
    assert np.isnan(embeddings_in(stage.folder / OUTPUTS["embeddings"])).all()
    assert not np.load(stage.folder / OUTPUTS["pca"]).any()
    assert pd.read_csv(stage.folder / OUTPUTS["table"]).shape == (1, 132)


@needs_tensorflow
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_spectrogram_that_is_not_finite_is_named_and_leaves_no_output(quick, stage, value):
    inputs = stage.prepare()
    chunk = np.load(inputs[1][1], mmap_mode="r+")
    chunk[1, 5, 5] = value
    chunk.flush()
    with pytest.raises(WavspecError, match=r"clip 'no/1.wav': NaN .* spectrogram"):
        stage.embed(inputs)
    assert not any((stage.folder / file).exists() for file in OUTPUTS.values())


def test_an_embedding_that_is_not_finite_is_named(tmp_path):
    chunk = tmp_path / "no.npy"
    np.save(chunk, np.zeros((3, 96, 64)))
    label = LabelToEmbed(chunk, None, ["a.wav", "b.wav", "c.wav"], np.array([True, False, True]))

    def network(examples):
        return np.array([[0.0] * 128, [np.inf] * 128], np.float32)

    with pytest.raises(WavspecError, match=r"clip 'c.wav': NaN .* embedding"):
        embed_label(label, network, 64)


def truncated(files, folder, number):
    """A copy of the checkpoint `files` in `folder`, half of one of them missing."""
    copies = [shutil.copy(file, folder) for file in files]
    os.truncate(copies[number], os.path.getsize(copies[number]) // 2)
    return copies


def changed(folder, **tensors):
    weights = {"vggish/conv1/weights": np.ones((3, 3, 1, 64), np.float32)}
    weights |= {f"vggish/conv1/{name}": tensor for name, tensor in tensors.items()}
    return save_v1(folder / "changed.ckpt", weights)


REFUSED_CHECKPOINTS = {
    "V1 cut short": (
        lambda vggish, folder: truncated(vggish.v1, folder, 0),
        "v1.ckpt is not a complete TensorFlow checkpoint",
    ),
    "V2 index cut short": (
        lambda vggish, folder: truncated(vggish.v2, folder, 0),
        "v2.ckpt is not a complete TensorFlow checkpoint",
    ),
    "V2 data cut short": (
        lambda vggish, folder: truncated(vggish.v2, folder, 1),
        r"tensor vggish/\S+, float32 of shape \[.*\] expected, cannot be read",
    ),
    "not a checkpoint": (
        lambda vggish, folder: [vggish.pca],
        "pca.npz is not a complete TensorFlow checkpoint",
    ),
    "other names": (
        lambda vggish, folder: save_v1(folder / "other.ckpt", {"other/weights": np.ones(1)}),
        r"vggish/conv1/weights, float32 of shape \[3, 3, 1, 64\] expected, is not there; it has o",
    ),
    "other shape": (
        lambda vggish, folder: changed(folder, biases=np.ones(65, np.float32)),
        r"vggish/conv1/biases, float32 of shape \[64\] expected, is float32 of shape \[65\]",
    ),
    "other type": (
        lambda vggish, folder: changed(folder, biases=np.ones(64)),
        r"vggish/conv1/biases, float32 of shape \[64\] expected, is float64 of shape \[64\]",
    ),
    "NaN": (
        lambda vggish, folder: changed(folder, biases=np.full(64, np.nan, np.float32)),
        r"vggish/conv1/biases, float32 of shape \[64\] expected, has NaN",
    ),
}


@needs_tensorflow
@pytest.mark.parametrize(("make", "message"), REFUSED_CHECKPOINTS.values(), ids=REFUSED_CHECKPOINTS)
def test_wrong_checkpoints_are_refused(vggish_files, tmp_path, make, message):
    from wavspec import vggish

    checkpoint = make(vggish_files, tmp_path)[0].removesuffix(".index")
    with pytest.raises(WavspecError, match=message), vggish.loaded(checkpoint, 1):
        pass


REFUSED_PCA = {
    "missing": ({"pca_means": np.ones(128)}, "pca_eigen_vectors of shape .* is not there"),
    "shape": (
        {"pca_eigen_vectors": np.eye(128), "pca_means": np.ones(127)},
        r"pca_means of shape \(128,\) expected, is of shape \(127,\)",
    ),
    "NaN": (
        {"pca_eigen_vectors": np.full((128, 128), np.nan), "pca_means": np.ones(128)},
        "pca_eigen_vectors .* NaN",
    ),
}


@pytest.mark.parametrize(("arrays", "message"), REFUSED_PCA.values(), ids=REFUSED_PCA)
def test_wrong_pca_parameters_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "pca.npz", **arrays)
    with pytest.raises(WavspecError, match=message):
        load_pca(tmp_path / "pca.npz")


@pytest.mark.parametrize("bytes_left", [0, 100, 100_000])
def test_pca_parameters_cut_short_are_refused(tmp_path, bytes_left):
    path = tmp_path / "pca.npz"
    np.savez(path, pca_eigen_vectors=np.eye(128), pca_means=np.ones((128, 1)))
    load_pca(path)
    os.truncate(path, bytes_left)
    with pytest.raises(
        WavspecError, match=r"not a complete \.npz file of pca_eigen_vectors, pca_means"
    ):
        load_pca(path)


def test_who_does_not_ask_for_embeddings_needs_nothing_for_them(workflow):
    assert "embeddings" not in workflow.planned()
    # As if TensorFlow were not installed.
    shadow = workflow.folder / "shadow"
    shadow.mkdir()
    (shadow / "tensorflow.py").write_text("raise ModuleNotFoundError('No module tensorflow')")
    pca = shadow / "pca.npz"
    np.savez(pca, pca_eigen_vectors=np.eye(128), pca_means=np.ones(128))
    asked = {"vggish_checkpoint": shadow / "tensorflow.py", "vggish_pca": pca}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(shadow))
        workflow.snakemake()
        output = workflow.snakemake("embeddings", check=False, **asked).stdout
    assert re.search(r"cause: .*tensorflow", output)

    output = workflow.snakemake("embeddings", "--dry-run", check=False).stdout
    assert "config key 'vggish_checkpoint': 'vggish/vggish_model.ckpt' is not a file" in output


@needs_tensorflow
def test_a_whole_run_and_the_next_after_a_change(workflow, vggish_files, tmp_path):
    settings = {**vggish_files.config, "vggish_checkpoint": tmp_path / "vggish" / "model"}
    settings["vggish_checkpoint"].parent.mkdir()
    for file in vggish_files.v2:
        ending = file.partition(".ckpt")[2]
        os.symlink(file, f"{settings['vggish_checkpoint']}{ending}")
    output = workflow.snakemake("embeddings", **settings).stdout
    assert "6 embeddings, 3 of 3 labels newly computed" in output
    log = (workflow.results / "logs" / "embeddings.log").read_text()
    for text in ("TensorFlow 2", "2 threads", "yes: 2 rows, 3 of 3"):
        assert text in log

    clean, configured = tmp_path / "clean", workflow.as_configured()
    stage = Stage(clean, workflow.dataset, vggish_files, configured)
    stage.embed()
    assert outputs(workflow) == stage.outputs()
    assert workflow.planned("embeddings", **settings) == set()

    # Records and modification times are ignored, except by a stage of a second.
    shutil.rmtree(workflow.folder / ".snakemake")
    copied = workflow.folder / "copied"
    workflow.results = shutil.copytree(workflow.results, copied, copy_function=shutil.copy)
    assert workflow.planned("embeddings", **settings) <= {"embeddings"}

    write_wav(workflow.dataset / "no" / "0.wav", seed=7)
    before = parts(workflow)
    jobs = {"catalog", "spectrograms no", "embeddings"}
    assert workflow.run("embeddings", **settings) == jobs
    assert [label_of(part) for part in parts(workflow) - before] == ["no"]
    assert [label_of(part) for part in before - parts(workflow)] == ["no"]
    stage.embed()
    assert outputs(workflow) == stage.outputs()

    # Changes that do not affect the values recompute nothing.
    workflow.dataset = workflow.dataset.rename(tmp_path / "moved")
    before = parts(workflow)
    assert workflow.run("embeddings", **settings) == {"embeddings"}
    assert parts(workflow) == before
    for side in ("validation", "testing"):
        (workflow.dataset / f"{side}_list.txt").write_text("no/0.wav\n")
    assert workflow.planned("embeddings", **settings) == set()
    assert str(workflow.as_configured()) in (workflow.results / "wavfile_embed.csv").read_text()


@needs_tensorflow
def test_damaged_outputs_are_made_again_from_the_parts(workflow, vggish_files):
    settings = {"vggish_checkpoint": vggish_files.v1[0], "vggish_pca": vggish_files.pca}
    workflow.snakemake("embeddings", **settings)
    right = outputs(workflow)
    for name, change in zip(OUTPUTS.values(), damage.OF_OUTPUTS[:3], strict=True):
        change(workflow.results / name)
        before = parts(workflow)
        assert workflow.run("embeddings", **settings) == {"embeddings"}
        assert outputs(workflow) == right and parts(workflow) == before
    assert workflow.planned("embeddings", **settings) == set()


def other_rows(path):
    np.save(path, np.ones((9, 128), np.float32))


def nan_for_a_valid_clip(path):
    np.save(path, np.full((2, 128), np.nan, np.float32))


@needs_tensorflow
def test_damaged_parts_are_computed_again(quick, stage, capsys):
    stage.embed()
    right, [part] = stage.outputs(), stage.folder.glob("embeddings/no.*")
    damages = [change for change in damage.OF_STAMPS if change != damage.append]  # ignored bytes
    for change in (*damages, damage.pickled, other_rows, nan_for_a_valid_clip):
        change(part)
        stage.embed()
        assert "1 of 3 labels to embed" in capsys.readouterr().out, change
        assert stage.outputs() == right and part.is_file()


@needs_tensorflow
def test_a_killed_run_keeps_the_labels_that_it_finished(tmp_path, vggish_files):
    labels = ["a", "b", "c", "d"]
    workflow = Workflow(tmp_path / "project", make_dataset(tmp_path / "dataset", labels, clips=1))
    workflow.snakemake()
    run = workflow.start("embeddings", **vggish_files.config)
    wait_until(lambda: len(parts(workflow)) >= 2, "two labels are embedded", 120)
    kill_group(run)
    finished = {part: part.stat().st_mtime_ns for part in parts(workflow)}
    assert 2 <= len(finished) < len(labels)
    assert not any((workflow.results / file).exists() for file in OUTPUTS.values())

    workflow.snakemake("--unlock")
    workflow.snakemake("embeddings", **vggish_files.config)
    assert len(parts(workflow)) == len(labels)
    for part, mtime in finished.items():
        assert part.stat().st_mtime_ns == mtime
    clean, configured = tmp_path / "clean", workflow.as_configured()
    stage = Stage(clean, workflow.dataset, vggish_files, configured)
    stage.embed()
    assert outputs(workflow) == stage.outputs()


def parts(workflow):
    return set(workflow.results.glob("embeddings/*.npy"))


def outputs(workflow):
    return {name: (workflow.results / file).read_bytes() for name, file in OUTPUTS.items()}


@needs_tensorflow
def test_the_authors_next_notebooks_read_what_is_written(workflow, vggish_files, monkeypatch):
    """Notebook 2's files, notebook 3's and the warm start's way to them, up to their training."""
    write_wav(workflow.dataset / "no" / "short.wav", samples=8_000)
    workflow.snakemake("all", "embeddings", **vggish_files.config)
    monkeypatch.chdir(workflow.results)

    df = pd.read_csv("wavfile_df.csv", index_col=0)
    audio = np.fromfile("wavfile_spec.dat").reshape((-1, 96, 64))
    assert list(df.columns) == ["file_name", "label", "valid"]
    assert len(audio) == len(df) == 7

    embedded = np.fromfile("wavfile_embed.dat").reshape((-1, 128))
    df = pd.read_csv("wavfile_embed.csv", index_col=0)
    columns = [f"e{number}" for number in range(128)]
    assert list(df.columns) == ["file_name", "label", "valid", *columns]
    df = df[df.valid]
    x, y = df[columns].to_numpy(), df["label"].to_numpy()
    assert x.shape == (6, 128) and np.isfinite(x).all()
    np.testing.assert_allclose(x, embedded[df.index], rtol=1e-6)
    classes, codes = np.unique(y, return_inverse=True)
    assert classes.tolist() == ["go", "no", "yes"] and codes.tolist() == [0, 0, 1, 1, 2, 2]

    split = pd.read_csv("wavfile_split.csv", index_col=0)
    training = df[split.loc[df.index, "split"] == "training"]
    examples = audio[training.index][..., np.newaxis].astype(np.float32)
    assert examples.shape == (len(training), 96, 64, 1)


# Without the marker, for CI has TensorFlow but not the files.
def test_the_released_weights_give_the_published_values():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    checkpoint, pca = (ROOT / config[key] for key in ("vggish_checkpoint", "vggish_pca"))
    if not (checkpoint.exists() and pca.exists()):
        pytest.skip("VGGish's released files are not where config.yaml has them")
    pytest.importorskip("tensorflow")
    from wavspec import vggish

    sine = np.sin(2 * np.pi * 1000 * np.arange(3 * 16_000) / 16_000)
    with vggish.loaded(str(checkpoint), 2) as network:
        embeddings = network(samples_to_examples(sine, 16_000).astype(np.float32))
    codes = postprocess(embeddings, *load_pca(pca))
    found = [embeddings.mean(), embeddings.std(), codes.mean(), codes.std()]
    np.testing.assert_allclose(found, [0.000657, 0.343, 126.0, 89.3], rtol=0.1)

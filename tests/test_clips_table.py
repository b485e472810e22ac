"""A table in place of `path_pattern`: labels, segments, columns, errors, and what runs again."""

import os
import random
import re
import shutil

import pandas as pd
import pytest
from pipeline.plan import LabelPlan, rerun_reason
from pipeline.run import Run
from test_path_pattern import SHORT
from test_split import make_files, split_in
from test_use_as_module import OTHER_WORKFLOW, Elsewhere
from wavs import write_wav
from wavspec.clip import Clip, new_csv
from wavspec.clips_table import dataset_of, find_clips_in_table
from wavspec.errors import WavspecError
from workflow import ROOT

COLUMNS = "path,label,speaker,split,start,end,fold"
# The clips of `make_dataset`, in their order in the results.
ROWS = [
    "go/0.wav,go,anna,,,,1",
    "go/1.wav,go,bea,,,,2",
    "no/0.wav,no,anna,train,,,1",
    "no/1.wav,no,cid,Test,,,2",
    "yes/0.wav,yes,bea,val,,,3",
    "yes/1.wav,yes,,,,,3",
]


def write(table, rows=ROWS, columns=COLUMNS):
    table.write_text("\n".join([columns, *rows, ""]), encoding="utf-8")
    return os.fspath(table)


def found_in(folder, content, name="clips.csv"):
    """The Dataset of a table with this content, in a folder of empty files."""
    make_files(folder / "data", ["a.wav", "b.wav", "c d/e,f.wav"])
    (folder / name).write_bytes(content)
    return find_clips_in_table(os.fspath(folder / "data"), os.fspath(folder / name))


def clips_of(dataset):
    return {
        label: [(clip.path, clip.start, clip.end) for clip in clips]
        for label, clips in dataset.labels.items()
    }


def test_rows_are_sorted_by_label_path_and_start(tmp_path):
    rows = "b.wav,y,10, a.wav,y,, b.wav,x,9, b.wav,x,9,12 b.wav,x,9,10.5 b.wav,x,10, a.wav,x,,"
    table = "\n".join(["path,label,start,end", *rows.split(), "./b.wav,y,0,3"])
    assert clips_of(found_in(tmp_path, table.encode())) == {
        "x": [
            ("a.wav", "", ""),
            ("b.wav", 9.0, 10.5),
            ("b.wav", 9.0, 12.0),
            ("b.wav", 9.0, ""),
            ("b.wav", 10.0, ""),
        ],
        "y": [("a.wav", "", ""), ("b.wav", 0.0, 3.0), ("b.wav", 10.0, "")],
    }


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("clips.csv", b'path,label,note\na.wav,007,"1\n2"\n"c d/e,f.wav",nan,\n'),
        (
            "clips.csv",
            b'\xef\xbb\xbfpath,label,note\r\na.wav,007,"1\n2"\r\n\r\n"c d/e,f.wav",nan,""\r\n',
        ),
        ("clips.csv", b'"note","label","path"\n"","nan","c d/e,f.wav"\n"1\n2","007","a.wav"'),
        ("clips.TSV", b'path\tlabel\tnote\na.wav\t007\t"1\n2"\nc d/e,f.wav\tnan\t\n'),
        ("clips.csv", b',,path,label,note\n0,1,a.wav,007,"1\n2"\n1,1,"c d/e,f.wav",nan,\n'),
    ],
    ids=["LF", "BOM and CRLF", "all quoted", "TSV", "index of pandas"],
)
def test_text_stays_as_it_is(tmp_path, name, content):
    found = found_in(tmp_path, content, name)
    assert clips_of(found) == {"007": [("a.wav", "", "")], "nan": [("c d/e,f.wav", "", "")]}
    assert found.columns == {"note": ["1\n2", ""]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,Label\n", "line 1: there is no column 'label' among 'path', 'Label'"),
        ("path;label\n", "line 1: there is no column 'path' among 'path;label'"),
        ("", "line 1: there is no column 'path' among no columns"),
        ("path,label\n", "there are no clips below the first line"),
        ("path,label,x,x\n", "line 1, column 'x': two columns have this name"),
        ("path,label,valid\n", "line 1, column 'valid': wavfile_df.csv has this column"),
        ("path,label\na.wav,x\nb.wav\n", "line 3: 1 fields, but the first line has 2"),
        ('path,label\na.wav,"x\n', "line 2: unexpected end of data"),
        ("path,label\na.wav,x\nb.wav,\n", "line 3, column 'label': is empty"),
        ("path,label\na.wav, \n", "line 2, column 'label': is empty"),
        ("path,label\n/a.wav,x\n", "line 2, column 'path': '/a.wav' is not a path below"),
        ("path,label\nb/../../a.wav,x\n", "line 2, column 'path': 'b/../../a.wav' is not a path"),
        ("path,label\n,x\n", "line 2, column 'path': '' is not a path below"),
        ("path,label,start\na.wav,x,1s\n", "line 2, column 'start': '1s' is not a number of"),
        ("path,label,start\na.wav,x,nan\n", "line 2, column 'start': 'nan' is not a number of"),
        ("path,label,start\na.wav,x,-1\n", "line 2, column 'start': '-1' is not a number of"),
        ("path,label,end\na.wav,x,inf\n", "line 2, column 'end': 'inf' is not a number of"),
        ("path,label,start,end\na.wav,x,2,1\n", "line 2, column 'end': 1.0 is not after the start"),
        ("path,label,start,end\na.wav,x,2,2\n", "line 2, column 'end': 2.0 is not after the start"),
        ("path,label,end\na.wav,x,0\n", "line 2, column 'end': 0.0 is not after the start, 0.0"),
        (
            "path,label,split\na.wav,x,fold1\n",
            "line 2, column 'split': 'fold1' is not one of train",
        ),
        ("path,label\na.wav,x\nb.wav,x\n./a.wav,x\n", "line 4, column 'path': 'a.wav' with the"),
        ("path,label,start\na.wav,x,1\na.wav,x,1.0\n", "is also in line 2"),
        ("path,label,start\na.wav,x,\na.wav,x,0\n", "is also in line 2"),
        ("path,label\nz.wav,x\ny.wav,x\n", "line 2, column 'path': none of the files of 2 rows"),
        ("path,label\na\0.wav,x\n", "control characters"),
        ('path,label\na.wav,"x\ny"\n', "control characters"),
        (b"path,label\na.wav,\xff\n", "is not UTF-8"),
    ],
)
def test_an_error_names_line_column_and_fault(tmp_path, content, message):
    content = content if isinstance(content, bytes) else content.encode()
    with pytest.raises(WavspecError) as error:
        found_in(tmp_path, content)
    assert message in str(error.value)
    if "control" not in message:
        assert str(error.value).startswith(os.fspath(tmp_path / "clips.csv"))


def test_a_path_names_where_it_was_looked_for(tmp_path):
    with pytest.raises(
        WavspecError, match=re.escape(f"'z.wav' was looked for in '{tmp_path}/data'")
    ):
        found_in(tmp_path, b"path,label\nz.wav,x\n")


def test_a_table_that_does_not_exist(workflow):
    process = workflow.snakemake("--dry-run", check=False, clips="nowhere.csv")
    assert process.returncode == 1 and "Traceback" not in process.stdout
    assert f"config key 'clips': '{workflow.folder}/nowhere.csv' is not a file" in process.stdout


def test_a_pattern_beside_a_table_is_not_used(tmp_path):
    data, table = (
        os.fspath(make_files(tmp_path, ["a.mp3"])),
        write(tmp_path / "t", ["a.mp3,x,,,,,"]),
    )
    found = dataset_of(data, "(?P<label>no)/.*", table)
    assert list(found.labels) == ["x"]
    assert found.warnings == [
        "path_pattern is not used, because the clips are in the table `clips`"
    ]


def test_segments_and_labels_of_the_same_file(workflow):
    """Rows, invalid clips and columns; a clip that was cut has several rows."""
    write_wav(workflow.dataset / "long.wav", samples=48_000)
    write(
        workflow.folder / "clips.csv",
        [
            "long.wav,nan,anna,test,1,2,a",
            "long.wav,007,,,,,b",
            "long.wav,nan,bea,test,0.5,1.5,c",
            "gone.wav,nan,bea,test,,,d",
            "go/0.wav,nan,cid,,,,e",
        ],
    )
    summary = workflow.snakemake(clips="clips.csv", long_clips="cut").stdout
    assert "1 invalid (1 missing; see" in summary
    df = pd.read_csv(workflow.results / "wavfile_df.csv", index_col=0, dtype=str, na_filter=False)
    split = pd.read_csv(
        workflow.results / "wavfile_split.csv", index_col=0, dtype=str, na_filter=False
    )
    df = df.join(split)  # no column is in both
    df["file_name"] = df.file_name.map(os.path.basename)
    columns = ["file_name", "label", "valid", "speaker", "start", "end", "fold"]
    assert df[columns].values.tolist() == [
        ["long.wav", "007", "True", "", "0.0", "", "b"],
        ["long.wav", "007", "True", "", "0.96", "", "b"],
        ["long.wav", "007", "True", "", "1.92", "", "b"],
        ["0.wav", "nan", "True", "cid", "0.0", "", "e"],
        ["gone.wav", "nan", "False", "bea", "0.0", "", "d"],
        ["long.wav", "nan", "True", "bea", "0.5", "1.5", "c"],
        ["long.wav", "nan", "True", "anna", "1.0", "2.0", "a"],
    ]
    assert list(df.split[-3:]) == ["testing"] * 3
    invalid = pd.read_csv(workflow.results / "invalid.csv")
    assert list(invalid.reason) == ["missing"]


def test_what_runs_again(built):
    """With the labels of the folders, the array is the same; no label is computed again."""
    table = built.folder / "clips.csv"

    def run(*rows, columns=COLUMNS):
        write(table, rows, columns)
        return built.run(clips="clips.csv")

    def trainings_stamp():
        output = built.snakemake("--dry-run", "classifier", clips="clips.csv").stdout
        return re.search(r"stamps/train\.\w+", output)[0]

    split = built.results / "wavfile_split.csv"
    assert run(*ROWS) == {"tables"}
    assert built.outputs() == built.expected()
    assert split.read_text().splitlines()[3:5] == ["2,anna,training,1", "3,cid,testing,2"]
    shuffled = random.Random(0).sample(ROWS, len(ROWS))
    assert run(*shuffled) == set()
    # The training depends on speaker and split, but not on other columns.
    stamp = trainings_stamp()
    for change, is_due in [((",1", ",4"), False), (("anna", "eve"), True), (("val", "test"), True)]:
        assert run(*(row.replace(*change) for row in ROWS)) == {"tables"}
        assert (trainings_stamp() != stamp) == is_due
    assert run(*ROWS) == {"tables"}
    assert trainings_stamp() == stamp
    of_segment = ROWS[0].replace(",,,,1", ",,,0.99,1")
    assert run(of_segment, *ROWS[1:]) == {"catalog", "spectrograms go", *SHORT}
    assert run(*ROWS) == {"catalog", "spectrograms go", *SHORT}
    other_label = ROWS[0].replace(",go", ",yes")
    both = {"spectrograms go", "spectrograms yes"}
    assert run(other_label, *ROWS[1:]) == {"catalog", *both, *SHORT}
    assert run(*ROWS[1:]) == {"catalog", "spectrograms yes", *SHORT}
    # A missing file that is there again.
    moved = built.dataset / "no" / "0.wav"
    moved.rename(built.folder / "0.wav")
    assert run(*ROWS) == {"catalog", "spectrograms go", "spectrograms no", *SHORT}
    assert "missing" in (built.results / "invalid.csv").read_text()
    shutil.move(built.folder / "0.wav", moved)
    assert built.run(clips="clips.csv") == {"catalog", "spectrograms no", *SHORT}
    assert built.outputs() == built.expected()


def test_why_a_label_with_segments_is_computed_again(tmp_path):
    clips = [Clip("a.wav", 1, 1, start, "") for start in (0.0, 1.0, 2.0)]
    catalog = tmp_path / "x.0123456789ab.csv"
    with new_csv(catalog, Clip._fields) as writer:
        writer.writerows(clips)
    now = [clips[0], clips[1]._replace(size=2), clips[2]._replace(start=3.0)]
    reason = rerun_reason(LabelPlan("ba9876543210", now), catalog, "")
    assert reason == "clips: 1 new, 1 changed, 1 gone"


def test_as_a_module_and_in_another_folder(tmp_path):
    """The table is looked for in the folder in which the workflow runs."""
    elsewhere = Elsewhere(tmp_path / "project", tmp_path / "elsewhere")
    module = OTHER_WORKFLOW.replace('"dataset": "clips"', '"dataset": "clips", "clips": "t.tsv"')
    snakefile = module.format(project=elsewhere.project)
    (elsewhere.folder / "Snakefile").write_text(snakefile)
    (elsewhere.folder / "config.yaml").write_text("another_key: 1\n")
    rows = [row.replace(",", "\t") for row in ROWS]
    write(elsewhere.folder / "t.tsv", rows, COLUMNS.replace(",", "\t"))
    elsewhere.snakemake()
    assert elsewhere.outputs() == elsewhere.expected()
    assert "3,cid,testing,2" in (elsewhere.results / "wavfile_split.csv").read_text()
    # From the project's folder, the results are the same.
    (elsewhere.folder / "config.yaml").unlink()
    elsewhere.arguments = ["--directory", os.fspath(elsewhere.folder)]
    elsewhere.folder = elsewhere.project
    options = {"dataset": "clips", "results": "derived/spectrograms", "clips": "t.tsv"}
    assert elsewhere.planned(**options) == set()


def test_a_node_of_a_cluster_does_not_read_the_table(built):
    """It has the labels from `catalog.csv`: the table may have changed."""
    table = write(built.folder / "clips.csv")
    built.snakemake(clips=table)
    os.remove(table)
    config = {"dataset": "nowhere", "results": os.fspath(built.results), "clips": table}
    settings = {"short_clips": "invalid", "long_clips": "invalid", "hop": 0.96}
    run = Run({**config, **settings}, is_main=False)
    assert list(run.labels) == ["go", "no", "yes"]


def parts_of_the_page():
    """(data set, dataset folder, lines of Python) of the tables in docs/datasets.md."""
    page = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
    _, page = page.split("## Tables")
    common, *parts = re.split(r"^\*\*(?=[^*]+\*\*, `dataset:)", page, flags=re.MULTILINE)
    before, after = re.search("```python\n(.*?)```", common, re.DOTALL)[1].split("clips = ...")
    last_lines = after.partition("\n")[2]
    for part in parts:
        name, dataset = re.match(r"([^*]+)\*\*, `dataset: ([^`]+)`", part).groups()
        yield (
            name,
            dataset,
            before,
            re.search("```python\n(.*?)```", part, re.DOTALL)[1],
            last_lines,
        )


PARTS = list(parts_of_the_page())
FSD50K = {
    "FSD50K.ground_truth/dev.csv": "fname,labels,mids,split\n"
    '64760,"Electric_guitar,Guitar,Music","/m/02sgy,/m/0342h,/m/04rlf",train\n'
    "16399,Bark,/m/0bt9lr,val\n",
    "FSD50K.ground_truth/eval.csv": "fname,labels,mids\n37199,Bark,/m/0bt9lr\n",
    "FSD50K.dev_audio/64760.wav": "",
    "FSD50K.dev_audio/16399.wav": "",
    "FSD50K.eval_audio/37199.wav": "",
}
COMMON_VOICE = (
    "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tlocale\tsegment\n"
)
SCENES = "filename\tscene_label\naudio/"
RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\t"
    "Annotation\n"
)
# {data set: ({file: content}, {(path, label): values of other columns})}, with the columns of the
# published tables.
LAYOUTS = {
    "ESC-50": (
        {
            "meta/esc50.csv": "filename,fold,target,category,esc10,src_file,take\n"
            "1-100032-A-0.wav,1,0,dog,True,100032,A\n5-9032-A-0.wav,5,0,dog,True,9032,A\n",
            "audio/1-100032-A-0.wav": "",
            "audio/5-9032-A-0.wav": "",
        },
        {
            ("audio/1-100032-A-0.wav", "dog"): {"speaker": "100032", "fold": "1"},
            ("audio/5-9032-A-0.wav", "dog"): {"speaker": "9032", "fold": "5"},
        },
    ),
    "UrbanSound8K": (
        {
            "metadata/UrbanSound8K.csv": "slice_file_name,fsID,start,end,salience,fold,classID,"
            "class\n"
            "100032-3-0-0.wav,100032,0.0,0.317551,1,5,3,dog_bark\n"
            "100263-2-0-117.wav,100263,58.5,62.5,1,5,2,children_playing\n",
            "audio/fold5/100032-3-0-0.wav": "",
            "audio/fold5/100263-2-0-117.wav": "",
        },
        {
            ("audio/fold5/100032-3-0-0.wav", "dog_bark"): {"speaker": "100032", "start": ""},
            ("audio/fold5/100263-2-0-117.wav", "children_playing"): {"fold": "5", "end": ""},
        },
    ),
    "FSD50K": (
        FSD50K,
        {
            ("FSD50K.dev_audio/64760.wav", "Electric_guitar"): {"split": "training"},
            ("FSD50K.dev_audio/16399.wav", "Bark"): {"split": "validation"},
            ("FSD50K.eval_audio/37199.wav", "Bark"): {"split": "testing"},
        },
    ),
    "FSD50K with all labels": (
        FSD50K,
        {
            ("FSD50K.dev_audio/64760.wav", "Electric_guitar"): {"split": "training"},
            ("FSD50K.dev_audio/64760.wav", "Guitar"): {"split": "training"},
            ("FSD50K.dev_audio/64760.wav", "Music"): {"split": "training"},
            ("FSD50K.dev_audio/16399.wav", "Bark"): {"split": "validation"},
            ("FSD50K.eval_audio/37199.wav", "Bark"): {"split": "testing"},
        },
    ),
    "Common Voice": (
        {
            "train.tsv": f"{COMMON_VOICE}a1\tcommon_voice_en_1.mp3\tyes\t2\t0\t\t\t\ten\tS\n"
            'a1\tcommon_voice_en_2.mp3\t"zero\t2\t0\t\t\t\ten\tS\n',
            "dev.tsv": f"{COMMON_VOICE}b2\tcommon_voice_en_3.mp3\tyes\t2\t0\t\t\t\ten\tS\n",
            "test.tsv": COMMON_VOICE,
            "clips/common_voice_en_1.mp3": "",
            "clips/common_voice_en_2.mp3": "",
            "clips/common_voice_en_3.mp3": "",
        },
        {
            ("clips/common_voice_en_1.mp3", "yes"): {"speaker": "a1", "split": "training"},
            ("clips/common_voice_en_2.mp3", '"zero'): {"speaker": "a1", "split": "training"},
            ("clips/common_voice_en_3.mp3", "yes"): {"speaker": "b2", "split": "validation"},
        },
    ),
    "MSWC": (
        {
            "en_splits.csv": "SET,LINK,WORD,VALID,SPEAKER,GENDER\n"
            "TRAIN,aachen/common_voice_en_18833718.opus,aachen,True,c3,NAN\n"
            "DEV,null/common_voice_en_5.opus,null,True,d4,MALE\n",
            "clips/aachen/common_voice_en_18833718.opus": "",
            "clips/null/common_voice_en_5.opus": "",
        },
        {
            ("clips/aachen/common_voice_en_18833718.opus", "aachen"): {
                "speaker": "c3",
                "split": "training",
                "GENDER": "NAN",
            },
            ("clips/null/common_voice_en_5.opus", "null"): {"split": "validation"},
        },
    ),
    "AudioSet": (
        {
            "../balanced_train_segments.csv": "# Segments csv created Sun Mar  5 10:54:25 2017\n"
            "# num_ytids=2, num_segs=2, num_unique_labels=2, num_positive_labels=3\n"
            "# YTID, start_seconds, end_seconds, positive_labels\n"
            '--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n'
            '-0RWZT-miFs, 0.000, 10.000, "/m/09x0r"\n',
            "../class_labels_indices.csv": "index,mid,display_name\n"
            '0,/m/09x0r,"Speech"\n5,/t/dd00088,"Gush, gushing"\n',
            "--PJHxphWEs.wav": "",
        },
        {
            ("--PJHxphWEs.wav", "Speech"): {"speaker": "--PJHxphWEs", "start": 30.0, "end": 40.0},
            ("--PJHxphWEs.wav", "Gush, gushing"): {"start": 30.0, "end": 40.0},
            ("-0RWZT-miFs.wav", "Speech"): {"start": 0.0, "end": 10.0},
        },
    ),
    "BirdCLEF": (
        {
            "train_metadata.csv": "primary_label,secondary_labels,type,latitude,longitude,"
            "scientific_name,common_name,author,license,rating,url,filename\n"
            "asbfly,[],['call'],39.2,118.2,Muscicapa dauurica,Asian Brown Flycatcher,"
            "Matt Slaymaker,CC,5.0,https://xeno-canto.org/134896,asbfly/XC134896.ogg\n",
            "train_audio/asbfly/XC134896.ogg": "",
        },
        {
            ("train_audio/asbfly/XC134896.ogg", "asbfly"): {
                "speaker": "Matt Slaymaker",
                "rating": "5.0",
            }
        },
    ),
    "TAU Urban Acoustic Scenes": (
        {
            "meta.csv": "filename\tscene_label\tidentifier\tsource_label\n"
            "audio/airport-barcelona-0-0-a.wav\tairport\tbarcelona-0\ta\n"
            "audio/tram-london-180-5544-a.wav\ttram\tlondon-180\ta\n",
            "evaluation_setup/fold1_train.csv": f"{SCENES}airport-barcelona-0-0-a.wav\tairport\n",
            "evaluation_setup/fold1_evaluate.csv": f"{SCENES}tram-london-180-5544-a.wav\ttram\n",
            "audio/airport-barcelona-0-0-a.wav": "",
            "audio/tram-london-180-5544-a.wav": "",
        },
        {
            ("audio/airport-barcelona-0-0-a.wav", "airport"): {
                "speaker": "barcelona-0",
                "split": "training",
            },
            ("audio/tram-london-180-5544-a.wav", "tram"): {"split": "testing"},
        },
    ),
    "A selection table of Raven": (
        {
            "dawn.Table.1.selections.txt": f"{RAVEN}"
            "1\tWaveform 1\t1\t6.709509878\t15.096397225\t1739.0\t3798.8\tBlackbird\n"
            "1\tSpectrogram 1\t1\t6.709509878\t15.096397225\t1739.0\t3798.8\tBlackbird\n"
            "2\tWaveform 1\t1\t20.5\t22.0\t900.0\t2000.0\tWren\n",
            "dawn.wav": "",
        },
        {
            ("dawn.wav", "Blackbird"): {"start": 6.709509878, "end": 15.096397225},
            ("dawn.wav", "Wren"): {"start": 20.5, "end": 22.0, "Selection": "2"},
        },
    ),
}


def test_the_page_has_all_tables():
    assert [name for name, *_ in PARTS] == list(LAYOUTS)


@pytest.mark.parametrize(("name", "dataset", "first", "lines", "last"), PARTS)
def test_the_tables_of_the_page(tmp_path, monkeypatch, name, dataset, first, lines, last):
    files, expected = LAYOUTS[name]
    monkeypatch.chdir(tmp_path)
    for file, content in files.items():
        path = tmp_path / dataset / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    if name == "FSD50K with all labels":  # only its last line differs
        lines = "".join(PARTS[2][3].splitlines(keepends=True)[:-1]) + lines
    exec(f"{first}{lines}{last}", {})
    found = find_clips_in_table(dataset, "clips.csv")
    rows = [(label, clip) for label, clips in found.labels.items() for clip in clips]
    columns = {
        (clip.path, label): {
            **clip._asdict(),
            **{name: found.columns[name][row] for name in found.columns},
        }
        for row, (label, clip) in enumerate(rows)
    }
    assert columns.keys() == expected.keys() and len(rows) == len(expected)
    for clip, values in expected.items():
        assert {name: columns[clip][name] for name in values} == values


@pytest.mark.parametrize(
    ("dataset", "prefix"), [("train", ""), ("train/audio", ""), ("train", "audio/")]
)
def test_lists_above_or_beside_the_folder_audio(tmp_path, dataset, prefix):
    """As in Kaggle's Speech Recognition Challenge, where they do not have `audio/` in front."""
    make_files(tmp_path, [f"train/audio/yes/{name}.wav" for name in "abc"])
    (tmp_path / "train" / "validation_list.txt").write_text(f"{prefix}yes/a.wav\n")
    (tmp_path / "train" / "testing_list.txt").write_text(f"{prefix}yes/b.wav\n")
    rows, warnings = split_in(tmp_path / dataset)
    assert list(rows.split) == ["validation", "testing", "training"]
    assert not [line for line in warnings if "list" in line]

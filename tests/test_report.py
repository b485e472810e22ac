"""The report and its pages in a real browser: what they show, and that the pictures are drawn."""

import json
import os
import shutil

from browser import browser, needs_chromium
from wavs import make_dataset, write_wav
from workflow import Workflow

# Clicks through the report.
TOUR = """
const page = await until(() => document.querySelector(".prose"));
const seen = {description: page.textContent};
seen.too_wide = [page, ...page.querySelectorAll("pre, p, ul, li")]
  .filter(element => element.scrollWidth > element.clientWidth).length;
async function open(category) {
  named("nav a", "Results")?.click();
  await until(() => named("nav a", "Statistics"));
  named("nav a", category).click();
  return [...(await until(() => document.querySelector("nav tbody"))).rows];
}
function colours(picture) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  const {data} = context.getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(data.buffer)).size;
}
let shown = null;
for (const category of CATEGORIES) {
  seen[category] = {};
  for (let place = 0; place < (await open(category)).length; place++) {
    const row = (await open(category))[place];
    const [eye, information] = row.querySelectorAll("a");
    const found = seen[category][row.cells[0].textContent] = {};
    if (!eye.download) {
      eye.click();
      const element = await until(() => {
        const element = document.querySelector("#app > * > :not(nav) :is(img[src^=data], iframe)");
        return element && element.src != shown && element;
      });
      shown = element.src;
      found.element = element.tagName;
      if (element.decode) {
        await element.decode();
        found.colours = colours(element);
      }
    }
    information.click();
    found.caption = (await until(() => document.querySelector("nav .prose"))).textContent;
  }
}
return seen;
"""

# Types into the search field of the page of invalid clips.
SEARCH = """
const field = document.getElementById("search");
const seen = {};
for (const text of TEXTS) {
  field.value = text;
  field.dispatchEvent(new Event("input"));
  const rows = [...document.getElementById("rows").rows].filter(row => row.offsetHeight);
  seen[text] = rows.map(row => row.cells[0].textContent);
}
return seen;
"""


def report(workflow, folder):
    """Write the report of the present results; return it."""
    path = folder / "report.html"
    process = workflow.snakemake("--report", path)
    assert "ERROR" not in process.stdout and "WARNING/2" not in process.stdout
    return path


def seen_in(workflow, folder, *categories):
    """Return what the report shows: the front page, and each result of each category."""
    tour = TOUR.replace("CATEGORIES", json.dumps(categories))
    with browser(folder, report(workflow, folder).as_uri()) as opened:
        return opened.evaluate(tour)


@needs_chromium
def test_the_report_shows_all_pictures_and_explains_them(tmp_path):
    dataset = make_dataset(tmp_path / "data_set*`", labels=["猫", "a$b_c$d", "<b>"], clips=1)
    write_wav(dataset / "猫" / "short.wav", samples=9_000)
    workflow = Workflow(tmp_path / "project", dataset)
    workflow.snakemake()
    # The report does not need Snakemake's records, and the results can have moved.
    shutil.rmtree(workflow.folder / ".snakemake")
    workflow.results = workflow.results.rename(tmp_path / "moved")

    seen = seen_in(workflow, tmp_path, "Pictures", "Clips")

    assert "4 clips in 3 labels: 3 valid" in seen["description"]
    assert "猫 2" in seen["description"] and "<b> 1" in seen["description"]
    assert dataset.name in seen["description"]
    assert "it has paths of your files and folders." in seen["description"]
    for picture in (
        "A spectrogram of each label",
        "Lengths of the clips",
        "Valid and invalid clips",
    ):
        found = seen["Pictures"][picture]
        assert found["element"] == "IMG" and found["colours"] > 10
        assert "What to look for" in found["caption"]
    table = seen["Clips"]["Invalid clips, to search"]
    assert table["element"] == "IFRAME" and table["caption"]


class FromElsewhere(Workflow):
    """A workflow with absolute paths of its folders."""

    def relative(self, path):
        return os.path.abspath(path)


@needs_chromium
def test_the_front_page_fits_and_holds_nothing_of_the_machine(tmp_path):
    workflow = FromElsewhere(tmp_path / "project", make_dataset(tmp_path / ("w" * 20)))
    write_wav(workflow.dataset / "no" / "short.wav", samples=9_000)
    (workflow.dataset / "no" / ("x" * 100 + ".flac")).write_bytes(b"")
    workflow.snakemake()
    seen = seen_in(workflow, tmp_path)
    assert "Spectrograms of the clips in " + "w" * 20 in seen["description"]
    assert "xxx.flac" in seen["description"] and "see invalid.csv" in seen["description"]
    assert str(tmp_path) not in seen["description"] and "np.fromfile" not in seen["description"]
    assert seen["too_wide"] == 0


# Instead of the classifier, which takes long.
PICTURES_ALONE = """\
from pathlib import Path

from pipeline.job import job

SVG = "<svg xmlns='http://www.w3.org/2000/svg'><title>{}</title><rect width='9' height='9'/></svg>"

if "snakemake" in globals():
    with job(snakemake) as outputs:
        for output in vars(outputs).values():
            for path in output if isinstance(output, list) else [output]:
                Path(path).write_text(SVG.format(path))
"""


@needs_chromium
def test_the_report_shows_later_stages_that_are_up_to_date(built, tmp_path):
    for name in ("classifier.py", "train.py", "evaluate.py"):
        if (script := built.folder / "workflow_scripts" / name).exists():
            script.write_text(PICTURES_ALONE)
    earlier = {*built.results.glob("stamps/*.json")}
    built.snakemake("classifier")
    written = {path: path.stat().st_mtime_ns for path in built.results.glob("stamps/*.json")}
    stamps = written.keys() - earlier
    assert stamps
    seen = seen_in(built, tmp_path, "Classifier", "Pictures")
    assert {"Learning curve", "Confusion matrix"} <= seen["Classifier"].keys()
    assert "Lengths of the clips" in seen["Pictures"]
    assert "recordings of clips" in seen["description"]
    for found in seen["Classifier"].values():
        assert found["caption"]

    # It is part of the run without being repeated.
    assert built.run() == set()
    (built.results / "wavfile_spec.dat").unlink()
    assert built.run() == {"concatenate"}
    assert built.run("--forcerun", "concatenate") >= {"concatenate"}
    assert all(stamp.stat().st_mtime_ns == written[stamp] for stamp in stamps)

    # A stage that is out of date is not part of it.
    write_wav(built.dataset / "no" / "new.wav")
    assert not built.run() & {stamp.name.partition(".")[0] for stamp in stamps}
    assert "Classifier" not in report(built, tmp_path).read_text(encoding="utf-8")


@needs_chromium
def test_the_invalid_clips_can_be_searched(tmp_path):
    dataset = make_dataset(tmp_path / "dataset", labels=["<b>", "no"], clips=1)
    for name in ("<b>/a.wav", "no/b.wav"):
        write_wav(dataset / name, samples=9_000)
    (dataset / "no" / "c.wav").write_bytes(b"no audio")
    workflow = Workflow(tmp_path / "project", dataset)
    workflow.snakemake()
    texts = ["", "SHORT", "no/ short", "<b>", "nowhere"]
    page = workflow.results / "pictures" / "invalid.html"
    with browser(tmp_path, page.as_uri()) as opened:
        found = opened.evaluate(SEARCH.replace("TEXTS", json.dumps(texts)))
        opened.resize(400, 800)
        assert opened.evaluate("return document.documentElement.scrollWidth") <= 400
    assert found == {
        "": ["<b>/a.wav", "no/b.wav", "no/c.wav"],
        "SHORT": ["<b>/a.wav", "no/b.wav"],
        "no/ short": ["no/b.wav"],
        "<b>": ["<b>/a.wav"],
        "nowhere": [],
    }

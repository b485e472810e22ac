"""Draw the README's picture from the results of a run on the demo, see `make pictures`.

Usage: PYTHONPATH=workflow_scripts python docs/draw.py RESULTS PICTURE
"""

import sys
from pathlib import Path

import matplotlib
import pictures
from wavspec.rows import read_tables


def draw(results, picture):
    """Draw the spectrogram of a valid clip of each label in the folder `results` to a PNG file."""
    tables = sorted(Path(results, "chunks").glob("*.csv"))
    rows = read_tables(tables, {"short_clips": "invalid", "long_clips": "invalid"})
    labels = pictures.summaries_of(rows, [table.with_suffix(".npy") for table in tables])
    with matplotlib.rc_context(pictures.STYLE):
        pictures.figure_of_spectrograms(labels).savefig(picture, dpi=100)


if __name__ == "__main__":
    draw(*sys.argv[1:])

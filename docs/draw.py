"""Draw the README's picture from the results of a run on the demo, see `make pictures`.

Usage: PYTHONPATH=workflow_scripts python docs/draw.py RESULTS PICTURE
"""

import sys
from pathlib import Path

import matplotlib
import pandas as pd
import pictures
from wavspec.clip import label_in
from wavspec.rows import read_table


def draw(results, picture):
    """Draw the spectrogram of a valid clip of each label in the folder `results` to a PNG file."""
    tables = sorted(Path(results, "chunks").glob("*.csv"))
    rows = pd.concat(
        [read_table(table).assign(label=label_in(table)) for table in tables], ignore_index=True
    )
    chunks = [table.with_suffix(".npy") for table in tables]
    with matplotlib.rc_context(pictures.STYLE):
        pictures.figure_of_spectrograms(rows, chunks).savefig(picture, dpi=100)


if __name__ == "__main__":
    draw(*sys.argv[1:])

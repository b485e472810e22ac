"""Write the table of all clips with their embeddings, `wavfile_embed.csv`."""

import numpy as np
import pandas as pd
from wavspec.run.job import closing, job

EMBEDDING_SIZE = 128


def write_table(clips, embeddings, table):
    """Write the table of clips with the embeddings as further columns.

    Args:
        clips: CSV file, the table of all clips that `tables` writes.
        embeddings: file of raw float64, (N, 128), NaN for invalid clips.
        table: CSV file to write: the columns of `clips`, then e0 to e127, blank for invalid clips.
    """
    rows = pd.read_csv(clips, index_col=0, dtype=str, keep_default_na=False)
    # The network computes in float32, whose shortest decimals restore the same numbers.
    numbers = np.fromfile(embeddings).reshape(-1, EMBEDDING_SIZE).astype(np.float32)
    columns = [f"e{number}" for number in range(EMBEDDING_SIZE)]
    numbers = pd.DataFrame(numbers, columns=columns, index=rows.index)
    pd.concat([rows, numbers], axis=1).to_csv(table)


if "snakemake" in globals():
    with job(snakemake) as outputs:
        write_table(snakemake.input.clips, snakemake.input.embeddings, outputs.table)
        closing(f"The embeddings are in {snakemake.input.embeddings} and {snakemake.output.table}")

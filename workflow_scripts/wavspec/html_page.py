"""An HTML page with a table that can be searched. It works offline and fits on a phone."""

import html
from pathlib import Path

# The report contains a page as a data: URL. Chromium's limit is 2 MB, and base64 adds a third.
MOST_BYTES = 1_500_000

STYLE = """\
body { font: 15px/1.4 sans-serif; max-width: 75em; margin: 1em auto; padding: 0 1em; }
input { font: inherit; width: 24em; max-width: 100%; box-sizing: border-box; }
table { border-collapse: collapse; margin-top: 1em; }
th, td { text-align: left; vertical-align: top; padding: 4px 16px 4px 0; }
td { overflow-wrap: anywhere; }
tr { border-bottom: 1px solid #ddd; }
img { display: block; width: 192px; height: 128px; }
button { font: inherit; width: 192px; }
button.playing { background: #56b4e9; }
@media (max-width: 45em) {
  thead { display: none; }
  tr, td { display: block; padding: 2px 0; }
  td:empty { display: none; }
"""

SCRIPT = """\
// Show the rows that contain every word of the search.
const rows = [...document.getElementById("rows").rows];
const texts = rows.map(row => row.textContent.toLowerCase());
document.getElementById("search").oninput = event => {
  const words = event.target.value.toLowerCase().split(/\\s+/);
  let shown = 0;
  rows.forEach((row, place) => {
    row.hidden = !words.every(word => texts[place].includes(word));
    shown += !row.hidden;
  });
  document.getElementById("found").textContent = `${shown} of ${rows.length} found`;
};
// Not <audio controls>, which shows whole seconds: 0:00 for a clip of 0.975 s.
const player = new Audio();
let playing;
player.onended = () => playing.classList.remove("playing");
document.onclick = event => {
  if (!event.target.dataset.sound) return;
  playing?.classList.remove("playing");
  playing = event.target;
  playing.classList.add("playing");
  player.src = playing.dataset.sound;
  player.play();
};
"""


def write_page(path, title, text, columns, rows, total):
    """Write a page with a heading, a search field and a table of clips.

    Args:
        path: file to write.
        title, text: heading, and the sentences below it.
        columns: list of the names of the columns.
        rows: iterable of the rows, lists of HTML with a cell for each column. It is read until the
            page has MOST_BYTES. A button plays the URL in its attribute `data-sound`.
        total: number of all rows.
    """
    lines, room = [], MOST_BYTES - 4096  # what is around the rows
    for row in rows:
        line = f"<tr><td>{'<td>'.join(row)}\n"
        room -= len(line.encode())
        if room < 0:
            break
        lines.append(line)
    shown = f"{total:,} clips"
    if len(lines) < total:
        limit = f"the page has at most {MOST_BYTES / 1e6:g} MB, to be part of a report"
        shown = f"The first {len(lines):,} of {total:,} clips: {limit}"
    # On a phone, each cell is a line that starts with the name of its column.
    names = "\n".join(
        f"  td:nth-child({place})::before {{ content: '{column}: '; color: #666; }}"
        for place, column in enumerate(columns, 1)
        if column
    )
    page = f"""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{STYLE}{names}
}}
</style>
<h1>{title}</h1>
<p>{html.escape(text)}
<p>{shown}.
<p><input id="search" type="search" placeholder="Search these rows"> <span id="found"></span>
<table>
<thead><tr>{"".join(f"<th>{column}" for column in columns)}</thead>
<tbody id="rows">
{"".join(lines)}</tbody>
</table>
<script>
{SCRIPT}</script>
"""
    Path(path).write_text(page, encoding="utf-8")

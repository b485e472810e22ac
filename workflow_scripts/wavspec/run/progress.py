"""Progress of a long stage, in its log."""

import time

INTERVAL = 20  # seconds between reports


class Progress:
    """Counts the clips that are done, and prints a report every 20 seconds."""

    def __init__(self, clips):
        self.clips, self.done = clips, 0
        self.start = self.last = time.monotonic()

    def add(self, clips, done):
        """Count `clips` more; `done` is the verb for the report, such as "embedded"."""
        self.done += clips
        if time.monotonic() - self.last >= INTERVAL or self.done == self.clips:
            self.say(f"{self.done:,} of {self.clips:,} clips {done}")

    def say(self, text):
        """Print `text`, the pace and the time left."""
        self.last = time.monotonic()
        rate = self.done / (self.last - self.start)
        left = (self.clips - self.done) / rate
        clock = time.strftime("%H:%M:%S")
        print(f"{clock} {text}, {rate:,.0f} clips/s, {left // 60:.0f} min {left % 60:.0f} s left")

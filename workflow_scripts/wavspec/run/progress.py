"""How far a long stage is, in its log."""

import time

INTERVAL = 20  # seconds between reports


class Progress:
    """How many of so many clips are done, reported now and then."""

    def __init__(self, clips):
        self.clips, self.done = clips, 0
        self.start = self.last = time.monotonic()

    def add(self, clips, done):
        """Count so many more clips; `done` says what was done with them."""
        self.done += clips
        if time.monotonic() - self.last >= INTERVAL or self.done == self.clips:
            self.say(f"{self.done:,} of {self.clips:,} clips {done}")

    def say(self, text):
        """Report `text` and the pace."""
        self.last = time.monotonic()
        rate = self.done / (self.last - self.start)
        left = (self.clips - self.done) / rate
        clock = time.strftime("%H:%M:%S")
        print(f"{clock} {text}, {rate:,.0f} clips/s, {left // 60:.0f} min {left % 60:.0f} s left")

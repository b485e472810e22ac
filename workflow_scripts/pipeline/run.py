"""A run: the labels of the dataset, and the stages that are due."""

import csv
import gc
import json
import os
import sys
from pathlib import Path

from wavspec.chunk import settings_of
from wavspec.clip import file_name_of
from wavspec.clips_table import dataset_of
from wavspec.dataset import Dataset
from wavspec.errors import WavspecError

from .digests import digest
from .files import set_aside
from .plan import LabelPlan, Plan, check_ownership, check_results
from .provenance import label_digest, provenance
from .stamps import Stamp, digest_of

# The environment variable with {stage: stamp} as decided by the main process. Jobs on a cluster's
# nodes read the Snakefile again, and must get the same names even if the dataset has changed.
STAMPS_VARIABLE = "WAVSPEC_STAMPS"


class Run:
    """What the rules need to know: labels, the names of their files, and stamps.

    The main process decides. A job on a cluster's node gets the same labels from `catalog.csv` in
    the results, and the same stamps from an environment variable.

    Attributes:
        examples: about the largest number of examples, for time limits.
        labels: {label as in the names of files: LabelPlan}, in row order.
        found: the Dataset; empty on a cluster's node.
        warnings: lines about the dataset.
        dataset, results: the folders.
        table: the clips table, or "".
        settings: the part of the configuration that the spectrograms depend on.
        provenance: the code, versions and settings of the spectrograms.

    Raises:
        WavspecError: the dataset or the configuration has an error.
    """

    def __init__(self, config, is_main):
        self.config, self.is_main = config, is_main
        # demo, demo/ and ./demo are the same folder.
        self.dataset = str(Path(config["dataset"]).expanduser())
        self.results = os.path.normpath(os.path.expanduser(config["results"]))
        self.table = os.path.expanduser(config["clips"])
        self.settings = settings_of(config)
        self.provenance = {**provenance("spectrograms"), **self.settings}
        self.stamps, self.on_demand = {}, {}  # {stage: Stamp}, {stage: the target to name for it}
        # Otherwise the garbage collector looks at all clips repeatedly: a quarter of an idle run.
        gc.disable()
        self.labels, self.found = self._find_labels() if is_main else self._decided()
        self.warnings = self.found.warnings
        gc.freeze()
        gc.enable()
        self.examples = sum(label.examples(self.settings) for label in self.labels.values())

    def _find_labels(self):
        os.environ[STAMPS_VARIABLE] = "{}"
        found = dataset_of(self.dataset, self.config["path_pattern"], self.table)
        clips = (clip for clips in found.labels.values() for clip in clips)
        check_results(self.results, self.dataset, clips)
        labels = {
            file_name_of(label): LabelPlan(label_digest(clips, self.settings), clips)
            for label, clips in found.labels.items()
        }
        return labels, found

    def _decided(self):
        with open(f"{self.results}/catalog.csv", encoding="utf-8", newline="") as file:
            labels = {
                row["label"]: LabelPlan(row["digest"], range(int(row["clips"])))
                for row in csv.DictReader(file)
            }
        return labels, Dataset({}, [], [], {})

    def files(self, pattern):
        """Return the file of each label below the results, in row order."""
        return [
            f"{self.results}/{pattern.format(label=label, digest=plan.digest)}"
            for label, plan in self.labels.items()
        ]

    def stamp(self, stage, *depends, on_demand=""):
        """Return the stamp for the outputs of a stage.

        Args:
            stage: the name of the rule and of its script.
            depends: everything that the outputs depend on: input files with digests in their names,
                values of `params`. The code of script and rule, and the versions of packages, are
                added automatically.
            on_demand: the target to name on the command line, for a stage that runs only then.
        """
        if on_demand:
            self.on_demand[stage] = on_demand
        if self.is_main:
            # Relative, because results can be moved.
            own = json.dumps(f"{self.results}/")[:-1]  # the start of a string
            depends = json.loads(json.dumps(depends).replace(own, '"'))
            self.stamps[stage] = Stamp.of(self.results, stage, digest(depends, provenance(stage)))
            decided = {name: stamp.path for name, stamp in self.stamps.items()}
            os.environ[STAMPS_VARIABLE] = json.dumps(decided)
        else:
            path = json.loads(os.environ[STAMPS_VARIABLE])[stage]
            self.stamps[stage] = Stamp(path, digest_of(path), {}, "")
        return self.stamps[stage].path

    def start(self, rules):
        """Check the results, and print the plan.

        Args:
            rules: the workflow's rules, after all stamps are known.

        Raises:
            WavspecError: the results must not be replaced, or do not fit.
        """
        keep = not self.config["replace_results"]
        if keep:
            check_ownership(self.results, self._files(rules) - {*self.of_every_run()})
        self._clear_the_way(rules)
        plan = Plan.of(self.results, self.labels)
        if keep:
            plan.check_dataset(self.dataset)
        if self.config["check_room"]:
            plan.check_room(self.dataset, self.settings)
        for line in self.warnings:
            say(f"Warning: {line}")
        for stage, stamp in self.stamps.items():
            if stamp.damage:
                found = os.path.lexists(stamp.damage)
                state = "not as the workflow wrote it" if found else "missing"
                then = f"{stage} will run again"
                if target := self.on_demand.get(stage):
                    then = f"to make it again, run `snakemake {target}`"
                say(f"{stamp.damage} is {state}: {then}")
        say(plan.line(self.provenance))

    def of_every_run(self):
        """Return the files of `rule all`, without those of finished stages on demand."""
        stamps = [self.stamps[stage].path for stage in self.stamps if stage not in self.on_demand]
        patterns = "chunks/{label}.{digest}.npy", "chunks/{label}.{digest}.csv"
        return [*stamps, *(file for pattern in patterns for file in self.files(pattern))]

    def finished_on_demand(self, forceall):
        """Return the stamps of the stages on demand that are up to date, to be in a report.

        Empty if anything else is due, or all is forced, because Snakemake would repeat them.
        """
        if forceall or not all(map(os.path.exists, self.of_every_run())):
            return []
        stamps = (self.stamps[stage].path for stage in self.on_demand)
        return [stamp for stamp in stamps if os.path.exists(stamp)]

    def check_targets(self, rules, targets):
        """Raise WavspecError if one of the files `targets` exists but is out of date.

        Snakemake would not look at the stamp beside it, and would keep it.
        """
        stage_of = {
            os.path.normpath(str(file)): rule.name
            for rule in rules
            if rule.name in self.stamps and not os.path.lexists(self.stamps[rule.name].path)
            for file in rule.output
        }
        for target in map(os.path.normpath, targets):
            if target in stage_of and os.path.lexists(target):
                step = self.on_demand.get(stage_of[target], stage_of[target])
                raise WavspecError(f"{target} is out of date. Name its step instead: {step}")

    def _files(self, rules):
        """Return the set of all outputs, and of the logs with fixed names."""
        fixed = {
            str(file)
            for rule in rules
            if not rule.wildcard_names
            for file in (*rule.output, *rule.log)
        }
        return fixed.union(self.of_every_run())

    def _clear_the_way(self, rules):
        """Rename what is in the place of outputs and their folders but is not a file or a folder.

        Snakemake would fail at it before it runs anything, also in a dry run.
        """
        files = self._files(rules)
        folders = {os.path.dirname(file) for file in files} | {f"{self.results}/logs/spectrograms"}
        for folder in sorted(folders - {""}):
            if os.path.lexists(folder) and not os.path.isdir(folder):
                say(f"{folder} is not a folder: renamed to {set_aside(folder)}")
        for file in sorted(files):
            if os.path.lexists(file) and not os.path.isfile(file):
                say(f"{file} is not a file: renamed to {set_aside(file)}")

    def messages(self):
        """Return the lines of warnings, and the summary lines, of the stages that ran in this run.

        The dataset's warnings come first. The summary of `tables` comes after those of other stages
        of every run, and is returned if no stage ran.
        """
        now = {
            stage: Stamp.of(self.results, stage, self.stamps[stage].digest).found
            for stage in self.stamps
        }
        ran = [stage for stage in now if now[stage] != self.stamps[stage].found]
        ran.sort(key=lambda stage: (stage in self.on_demand, stage == "tables"))
        own = (line for stage in ran for line in now[stage].get("warnings", ()))
        warnings = [*self.warnings, *own]
        summary = [line for stage in ran for line in now[stage].get("summary", ())]
        return (
            [f"Warning: {line}" for line in dict.fromkeys(warnings)],
            summary or now["tables"].get("summary", []),
        )


def say(line):
    print(line, file=sys.stderr, flush=True)

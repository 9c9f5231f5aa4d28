"""The record as a reader sees it: goals first, then what they rest on."""

from statistics import median

from benchmarks.update import analysis, counts, roofline
from benchmarks.update.variants import CHOSEN

COUNT_COLUMNS = (
    ("sequences", lambda c: f"{c.sequences:.0f}"),
    ("padded", lambda c: f"{c.padded.tokens:.0f}"),
    ("unpadded", lambda c: f"{c.unpadded.tokens:.0f}"),
    ("trie", lambda c: f"{c.trie.tokens:.0f}"),
    ("trained", lambda c: f"{c.trained:.0f}"),
    ("pad/trie", lambda c: f"{c.ratio('padded', 'trie'):.2f}"),
    ("unpad/trie", lambda c: f"{c.ratio('unpadded', 'trie'):.2f}"),
    ("pad/trained", lambda c: f"{c.ratio('padded', 'trained'):.2f}"),
    ("trie/trained", lambda c: f"{c.ratio('trie', 'trained'):.3f}"),
)
TERA = 1e12
ROUNDS = 5
"""Fewest rounds of which a median is called one."""
QUIET = 1.5
"""Most load of a run that had the machine to itself; it is 1 by its own thread."""


def lines(record):
    """All that was measured, and what is computed from it."""
    load = " to ".join(f"{value:.1f}" for value in record["load"])
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    yield f"{versions}; one thread; load average {load}"
    yield from _goals(analysis.goals(record))
    tables = counts.from_json(record.get("counts", {}))
    yield from _counts(tables)
    yield from _times(record, tables)
    yield from _small(record)
    yield from _peaks(record)
    yield from _computed(record["settings"], tables)
    if "gpu" in record:
        yield from _gpu(record["gpu"])


def markdown(record):
    """`results.md`: how it was made, what was missed, and all of `lines`."""
    missed = [goal for goal in analysis.goals(record) if not goal.met]
    state = " with changes" if record["changed since"] else ""
    return "\n".join(
        [
            "# What was measured",
            "",
            f"    {record['command']}",
            "",
            f"Commit {record['commit']}{state};",
            f"{record['device']};",
            f"Python {record['python']}.",
            "",
            "All settings are in `settings.yaml`, all figures in `results.json`. Medians with the",
            "least and the most; ratios are taken within each round. What is marked as computed",
            "was not measured.",
            "",
            *_caution(record["load"], record["settings"]["time"]),
            *(["All goals are met."] if not missed else ["Missed:", *map(_missed, missed)]),
            "",
            "```",
            *lines(record),
            "```",
            "",
        ]
    )


def _caution(load, timed):
    if timed["rounds"] < ROUNDS:
        rounds, scale = timed["rounds"], timed["scale"]
        yield f"A look, not a measurement: {rounds} rounds, lengths scaled by {scale:g}. A full run"
        yield "has more rounds, longer sequences, more trees, and every way's memory."
        yield ""
    if max(load) > QUIET:
        yield f"Other work ran beside it (load average up to {max(load):.1f}): times, those of the"
        yield "clock above all, are noisier than on a machine with nothing else to do."
        yield ""


def _missed(goal):
    return f"* {goal.name}: {goal.found:.3f} where {goal.bound:g} is the goal"


def _goals(found):
    if found:
        missed = sum(not goal.met for goal in found)
        yield f"\ngoals: {len(found) - missed} met, {missed} missed"
        yield from _table([_goal(goal) for goal in found])


def _goal(goal):
    sign, met = "at least" if goal.at_least else "at most", "met" if goal.met else "NOT MET"
    return [goal.name, f"{goal.found:.3f}", f"{sign} {goal.bound:g}: {met}"]


def _counts(tables):
    for transcript, named in tables.items():
        budgets = list(next(iter(named.values())).split)
        heads = [name for name, _ in COUNT_COLUMNS] + [f"at {budget}" for budget in budgets]
        yield f"\ntokens forwarded at full length, {transcript}; what splitting adds at a budget"
        yield from _table([["", *heads]] + [_count(*item, budgets) for item in named.items()])


def _count(name, each, budgets):
    cells = [cell(each) for _, cell in COUNT_COLUMNS]
    return [name, *cells, *(f"+{100 * each.overhead(budget):.1f} %" for budget in budgets)]


def _times(record, tables):
    for name, taken in record.get("rounds", {}).items():
        yield f"\n{name}: seconds, {len(taken[analysis.OURS])} rounds, each of another tree"
        rows = [["", "cpu", "wall", "gradient off by"]]
        for way, pairs in taken.items():
            spreads = [_spread([pair[kind] for pair in pairs]) for kind in (1, 0)]
            rows.append([way, *spreads, f"{record['distances'][name][way]:.1e}"])
        yield from _table(rows)
        found = analysis.ratios({"settings": record["settings"], "rounds": {name: taken}})
        rows = [["times less", "cpu", "wall"]]
        for way in taken:
            if way != analysis.OURS:
                label = f"{name}: {way} / {analysis.OURS}"
                rows.append([way, *(_range(found[f"{label}, {kind}"]) for kind in ("cpu", "wall"))])
        yield from _table([*rows, *_beside(record["settings"], tables, *name.split(", ")[1:])])


def _small(record):
    for tree, taken in record.get("small rounds", {}).items():
        yield f"\nsmall model, {tree}: milliseconds of cpu, {len(taken[CHOSEN])} rounds"
        found = analysis.ratios({"settings": record["settings"], "small rounds": {tree: taken}})
        rows = [["", "cpu", f"times '{CHOSEN}'", "gradient off by"]]
        for way, pairs in taken.items():
            ratio = found.get(f"small, {tree}: {way} / {CHOSEN}, cpu")
            far = record["small distances"][tree][way]
            spread = _spread([1000 * cpu for _, cpu in pairs], 1)
            rows.append([way, spread, _range(ratio) if ratio else "", f"{far:.1e}"])
        yield from _table(rows)


def _beside(settings, tables, tree, transcript):
    """What the ratio would be for large models if products were all."""
    if tree in tables.get(transcript, {}):
        each = tables[transcript][tree]
        for name, sizes in settings["models"].items():
            model = roofline.Model(**sizes)
            padded, trie = (
                roofline.update_flops(model, work, each.trained)
                for work in (each.padded, each.trie)
            )
            yield [f"computed: products of padding, {name}", f"{padded / trie:.2f}", ""]


def _peaks(record):
    sizes = record["settings"]["head"]
    layer = (
        f"the output layer alone: {sizes['rows']} states of width {sizes['hidden_size']}, "
        f"{sizes['vocab_size']} tokens; a trained layer's own gradient is in all of them"
    )
    for part, about in (("memory", "an update"), ("head", layer)):
        if part in record:
            yield f"\nMB above what was held before, {about}"
            yield from _table(
                [[analysis.job_name(job), _spread(job["mb"], 0)] for job in record[part]]
            )
            found = analysis.ratios({"settings": record["settings"], part: record[part]})
            yield from _table([[label, _range(ratio)] for label, ratio in found.items()])


def _computed(settings, tables):
    chosen = settings["roofline"]
    if chosen["transcript"] not in tables:
        return
    # Trees of one turn are counted once, under "chat".
    named = tables["chat"] | tables[chosen["transcript"]]
    for name, found in roofline.tables(settings, named).items():
        weights = ", ".join(f"{part} {n / 1e9:.3f}" for part, n in found["parameters"].items())
        yield f"\ncomputed, not measured: {name}, {chosen['transcript']}; 1e9 weights: {weights}"
        yield f"  1e12 products a problem; minutes for {chosen['problems']}, trie, at TFLOP/s"
        minutes = [f"min at {rate}" for rate in chosen["tflops"]]
        rows = [["", "padded", "unpadded", "trie", "ratio", *_STEP, *minutes]]
        rows += [
            _flops(tree, each, found["minutes"][tree]) for tree, each in found["flops"].items()
        ]
        yield from _table(rows)
        yield f"  GB, {chosen['tree']} in one row: {_sizes(found['memory_gb'], 1)}"
        yield f"  GB in all: {_sizes(found['totals_gb'], 0)}"


_STEP = ("step, TRL + vLLM", "step, trie", "ratio", "LoRA step")


def _flops(tree, each, minutes):
    def tera(values):
        return [f"{value / TERA:.0f}" for value in values]

    return [
        tree,
        *tera(each["update"].values()),
        f"{each['update ratio']:.2f}",
        *tera(each["step"].values()),
        f"{each['step ratio']:.2f}",
        *tera([each["LoRA step"]]),
        *(f"{value:.1f}" for value in minutes.values()),
    ]


def _sizes(sizes, digits):
    return "; ".join(f"{name} {size:.{digits}f}" for name, size in sizes.items())


def _gpu(found):
    yield f"\non a GPU: {found['device'] or 'none here'}"
    yield from _table([[_label(row), _speed(row)] for row in found["speed"]])
    yield from _table([[_label(row), _fit(row)] for row in found["fits"]])


def _label(row):
    names = ("model", "training", "precision", "way", "attention")
    return ", ".join(str(row[name]) for name in names if row.get(name))


def _speed(row):
    return _missing(row) or (
        f"{_spread(row['seconds'])} s; trained {row['trained_per_s']:.0f}, forwarded "
        f"{row['forwarded_per_s']:.0f} tokens/s; {row['tflops']:.3g} TFLOP/s "
        f"({100 * row['utilisation']:.1f} %); {_gb(row)}; gradient off by {row['gradient_off']:.1e}"
    )


def _fit(row):
    return _missing(row) or f"{row['step_s']:.2f} s a step; {_gb(row)}"


def _gb(row):
    return "memory not seen" if row["peak_gb"] is None else f"{row['peak_gb']:.1f} GB"


def _missing(row):
    return next((f"{key}: {row[key]}" for key in ("unmeasured", "fails") if key in row), None)


def _table(rows):
    """Rows of cells, columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield f"  {'   '.join(cells)}".rstrip()


def _spread(values, digits=3):
    least, middle, most = (f"{f(values):.{digits}f}" for f in (min, median, max))
    return f"{middle} ({least} to {most})"


def _range(ratio):
    return f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"

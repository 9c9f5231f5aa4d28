"""The record as a reader sees it: goals first, then what they rest on."""

from benchmarks.recorded import telling
from benchmarks.recorded.telling import ratio_range, spread, table
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


def lines(record):
    """All that was measured, and what is computed from it."""
    yield from telling.head(record, analysis.goals(record))
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
    timed = record["settings"]["time"]
    looked_at = (
        f", lengths scaled by {timed['scale']:g}. A full run\nhas more rounds, longer sequences, "
        "more trees, and every way's memory."
    )
    note = ["What is marked as computed was not measured."]
    goals = analysis.goals(record)
    return telling.page(record, lines(record), goals, timed["rounds"], looked_at, note)


def _counts(tables):
    for transcript, named in tables.items():
        budgets = list(next(iter(named.values())).split)
        heads = [name for name, _ in COUNT_COLUMNS] + [f"at {budget}" for budget in budgets]
        yield f"\ntokens forwarded at full length, {transcript}; what splitting adds at a budget"
        yield from table([["", *heads]] + [_count(*item, budgets) for item in named.items()])


def _count(name, each, budgets):
    cells = [cell(each) for _, cell in COUNT_COLUMNS]
    return [name, *cells, *(f"+{100 * each.overhead(budget):.1f} %" for budget in budgets)]


def _times(record, tables):
    for name, taken in record.get("rounds", {}).items():
        yield f"\n{name}: seconds, {len(taken[analysis.OURS])} rounds, each of another tree"
        rows = [["", "cpu", "wall", "gradient off by"]]
        for way, pairs in taken.items():
            spreads = [spread([pair[kind] for pair in pairs]) for kind in (1, 0)]
            rows.append([way, *spreads, f"{record['distances'][name][way]:.1e}"])
        yield from table(rows)
        found = analysis.ratios({"settings": record["settings"], "rounds": {name: taken}})
        rows = [["times less", "cpu", "wall"]]
        for way in taken:
            if way != analysis.OURS:
                label = f"{name}: {way} / {analysis.OURS}"
                rows.append(
                    [way, *(ratio_range(found[f"{label}, {kind}"]) for kind in ("cpu", "wall"))]
                )
        yield from table([*rows, *_beside(record["settings"], tables, *name.split(", ")[1:])])


def _small(record):
    for tree, taken in record.get("small rounds", {}).items():
        yield f"\nsmall model, {tree}: milliseconds of cpu, {len(taken[CHOSEN])} rounds"
        found = analysis.ratios({"settings": record["settings"], "small rounds": {tree: taken}})
        rows = [["", "cpu", f"times '{CHOSEN}'", "gradient off by"]]
        for way, pairs in taken.items():
            ratio = found.get(f"small, {tree}: {way} / {CHOSEN}, cpu")
            far = record["small distances"][tree][way]
            seconds = spread([1000 * cpu for _, cpu in pairs], 1)
            rows.append([way, seconds, ratio_range(ratio) if ratio else "", f"{far:.1e}"])
        yield from table(rows)


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
            yield from table(
                [[analysis.job_name(job), spread(job["mb"], 0)] for job in record[part]]
            )
            found = analysis.ratios({"settings": record["settings"], part: record[part]})
            yield from table([[label, ratio_range(ratio)] for label, ratio in found.items()])


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
        yield from table(rows)
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
    yield from table([[_label(row), _speed(row)] for row in found["speed"]])
    yield from table([[_label(row), _fit(row)] for row in found["fits"]])


def _label(row):
    names = ("model", "training", "precision", "way", "attention")
    return ", ".join(str(row[name]) for name in names if row.get(name))


def _speed(row):
    return _missing(row) or (
        f"{spread(row['seconds'])} s; trained {row['trained_per_s']:.0f}, forwarded "
        f"{row['forwarded_per_s']:.0f} tokens/s; {row['tflops']:.3g} TFLOP/s "
        f"({100 * row['utilisation']:.1f} %); {_gb(row)}; gradient off by {row['gradient_off']:.1e}"
    )


def _fit(row):
    return _missing(row) or f"{row['step_s']:.2f} s a step; {_gb(row)}"


def _gb(row):
    return "memory not seen" if row["peak_gb"] is None else f"{row['peak_gb']:.1f} GB"


def _missing(row):
    return next((f"{key}: {row[key]}" for key in ("unmeasured", "fails") if key in row), None)

"""The report of a comparison's worlds: both forms, the pictures, the command."""

import dataclasses
import filecmp
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pytest
from worlds_by_hand import ARMS, SETTINGS, costs, run, small, world

from benchmarks.compare import __main__ as command_line
from benchmarks.compare import (
    expected,
    files,
    loud,
    page,
    pictures,
    record,
    tell_costs,
    tell_world,
    worlds,
)
from benchmarks.compare.wording import subset_of
from murphy_agents.compare.arms import BASE
from murphy_agents.compare.cells import RIVALS
from murphy_agents.show.tables import Table

ROOT = Path(__file__).parents[2]
VOID = {"meta", "img", "br"}


def point(step, share, parts):
    paid = costs(10.0 * step, seconds=step / 2)
    return {"step": step, "costs": paid, "pass_at_1": {part: [share, share] for part in parts}}


def probe():
    """Two arms with loud first attempts told, checkpoints, and vague tasks."""
    parts = ("vague", "clear", "all")

    def told(loud):
        return {part: {"loud": loud, "repeats": 0.5, "repairs": 0.25} for part in parts}

    runs = [run("base", "warm-0", None, "0010", "0010", mechanism=told(0.5))]
    for seed in (0, 1):
        way = [point(10, 0.25, parts), point(20, 0.5 + seed / 4, parts)]
        runs += [
            run("murphy_mars", "warm-0", seed, "0010", "1110", mechanism=told(0.9), curve=way),
            run("tree_without_credit", "warm-0", seed, "0010", "0010", mechanism=told(0.1),
                curve=way),
        ]  # fmt: skip
    subsets = {"vague": "1101", "clear": "0010"}
    arms = ARMS | {"tree_without_credit": {"algorithm": "tree_without_credit"}}
    return world(runs, "probe", subsets=subsets, arms=arms, settings=SETTINGS)


def many_arms():
    parts = ("all",)
    way = [point(10, 0.25, parts), point(20, 0.5, parts)]
    arms = {f"variant_{i:02}": ARMS["murphy_mars"] | {"balance": "turns"} for i in range(10)}
    runs = [run("base", "warm-0", None, "0010", "0010")]
    runs += [run(arm, "warm-0", 0, "0010", "0110", curve=way) for arm in arms]
    return world(runs, "arms", arms=arms, settings=SETTINGS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    for made in (small(), probe(), many_arms()):
        record.save(made, files.results_file(home, made.world))
    (home / "pictures").mkdir()
    (home / "pictures" / "gone-reached.svg").write_text("of a world that is no more")
    files.write_report(home)
    return home


@pytest.fixture(scope="module")
def shown(folder):
    return (folder / "report.md").read_text(encoding="utf-8")


class Wellformed(HTMLParser):
    """Opens and closes what it should, and asks for nothing from elsewhere."""

    def __init__(self):
        super().__init__()
        self.open, self.links, self.ids = [], [], set()

    def handle_starttag(self, tag, attributes):
        told = dict(attributes)
        self.links += [told[name] for name in ("src", "href") if name in told]
        self.ids.add(told.get("id"))
        assert tag not in ("link", "script", "iframe")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_holds_all_that_it_needs(folder):
    text = (folder / "report.html").read_text(encoding="utf-8")
    found = Wellformed()
    found.feed(text)
    found.close()
    assert found.open == []
    assert "url(" not in text
    assert "@import" not in text
    kinds = {link.partition(";")[0] for link in found.links if not link.startswith("#")}
    assert kinds == {"data:image/svg+xml"}
    assert {link[1:] for link in found.links if link.startswith("#")} <= found.ids


def test_pictures_are_whole_and_lie_where_the_markdown_looks(folder, shown):
    named = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", shown)
    there = sorted(f"pictures/{path.name}" for path in (folder / "pictures").iterdir())
    assert sorted(named) == there
    assert set(there) >= {
        "pictures/repair-reached.svg", "pictures/repair-budgets.svg", "pictures/probe-probing.svg",
        "pictures/arms-generations.svg", "pictures/arms-seconds-of-training.svg",
    }  # fmt: skip
    for name in named:
        ElementTree.fromstring((folder / name).read_text(encoding="utf-8"))


def test_every_arm_is_named_in_a_picture_of_many(folder):
    for name in ("arms-reached", "arms-budgets", "arms-generations"):
        drawn = (folder / "pictures" / f"{name}.svg").read_text(encoding="utf-8")
        assert [i for i in range(10) if f"variant_{i:02}" not in drawn] == [], name


def test_the_same_results_make_the_same_report(folder, tmp_path):
    for path in (folder / "results").iterdir():
        record.save(record.load(path), files.results_file(tmp_path, path.stem))
    files.write_report(tmp_path)
    names = [str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()]
    assert len(names) > 8
    same, other, missing = filecmp.cmpfiles(folder, tmp_path, names, shallow=False)
    assert (sorted(same), other, missing) == (sorted(names), [], [])


def test_worlds_stand_in_their_order_with_what_was_expected(shown):
    titles = re.findall(r"^## (.*)$", shown, re.MULTILINE)
    assert titles == [
        "Expected and found", "World: repair", "World: arms", "World: probe", "How to read it",
    ]  # fmt: skip
    assert "not run: probe_strong, probe_blind, probe_hedge." in shown
    line = next(line for line in shown.splitlines() if line.startswith("| repair | `murphy_mars`"))
    # Three more tasks than GRPO's run in one pair of four, two in the others: 1.75 of 4.
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells[:4] == ["repair", "`murphy_mars` - `grpo`", "all, 3", "no expectation"]
    assert cells[4].startswith("+43.8 (")
    assert cells[5] == "4"


def test_figures_of_a_world_by_hand(shown):
    part = shown[shown.index("## World: repair") : shown.index("## World: arms")]
    for told in (
        "4 tasks in 3 clusters (tasks with the same docstring, or prompt where they tell none), "
        "each tried once by every model.",
        "2 trained arms, 2 starting models, 2 seeds of training for each: 8 runs.",
        # 75 generations, 30 tokens each; 10 + 1 + 2 seconds.
        "| `murphy_mars` | 75.0 | 2,250 | 10.0 | 1.0 | 2.0 | 13.0 | 0.5 |",
        "| `murphy_mars` | warm-1 | - | 75.0 | 100.0 |",
        "| `base` | warm-1 | 50.0 | - | - |",
        "Commit of the runs: abc; last run finished 2026-01-01.",
        "```text\npython -m benchmarks.compare --world repair\n```",
        "Not run: table 2: no arm of this world is a row of its own there; table 3",
    ):
        assert told in part, told


def test_a_world_with_subsets_shows_each_and_the_mechanism(shown):
    part = shown[shown.index("## World: probe") :]
    assert "pass@1 in percent, vague tasks: mean and 95 % interval." in part
    assert "pass@1 in percent, clear tasks: mean and 95 % interval." in part
    # Vague are a1, a2, c1: two of three.
    assert "| `murphy_mars` | 90.0 | 50.0 | 25.0 | 66.7 |" in part
    assert "Loud: without `try`, so that an error is seen." in part


def test_loud_shares_are_told_with_the_lowest_and_the_highest_run(shown):
    part = shown[: shown.index("## World: repair")]
    assert "| probe | `murphy_mars` | above 80 % | 90.0 | 90.0 | 90.0 | 2 | held |" in part
    assert "| probe | `tree_without_credit` | below 20 % | 10.0 | 10.0 | 10.0 | 2 | held |" in part


def test_the_table_of_power_tells_what_cannot_be_seen(shown, tmp_path):
    part = shown[shown.index("## World: repair") : shown.index("## World: arms")]
    assert (
        "| arm | starts | runs of one start: training and evaluation | clusters of tasks |" in part
    )
    # Two equal differences, of which one sign has p = 1/2.
    runs = [run("grpo", "warm-0", seed, *["0010"] * 3) for seed in (0, 1)]
    runs += [run("murphy_mars", "warm-0", seed, *["0110"] * 3) for seed in (0, 1)]
    record.save(world(runs), files.results_file(tmp_path, "repair"))
    files.write_report(tmp_path)
    told = (tmp_path / "report.md").read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in told if line.startswith("| `murphy_mars` - `grpo` | 2 |"))
    assert line.endswith("| 0.0 | - | - | - |")


def test_runs_that_were_resumed_or_of_another_commit_are_named(tmp_path):
    first, second = (run("grpo", "warm-0", seed, "0110") for seed in (0, 1))
    made = dataclasses.replace(first, commit="abc", num_resumed=2)
    other = dataclasses.replace(second, commit="def")
    record.save(world([made, other]), files.results_file(tmp_path, "repair"))
    files.write_report(tmp_path)
    told = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "By commit: abc: 1 runs; def: 1 runs." in told
    assert "Gone on with from a checkpoint: grpo of warm-0, seed 0: 2 times." in told


def test_equal_budgets_are_told_where_there_are_checkpoints(shown):
    part = shown[shown.index("## World: probe") :]
    # Both arms have the same way, to 20 steps: all is read at its end, .5 and .75.
    for header in ("| arm | 200 generations | step | 6,000 trained tokens | step |",
                   "13.0 seconds of training | step |"):  # fmt: skip
        assert header in part
    (line,) = (line for line in part.splitlines() if line.startswith("| `murphy_mars` | 62.5 ("))
    assert [cell.strip() for cell in line.split("|")[3:-1:2]] == ["20.0"] * 3
    assert "favoured (docs/design/0608)" in part
    first = shown[shown.index("## World: repair") : shown.index("## World: arms")]
    assert "At equal budgets" not in first


def test_no_result_is_said_so(tmp_path):
    assert files.write_report(tmp_path) == []
    assert "No world has been run" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_a_world_of_one_run_makes_a_report(tmp_path):
    alone = world(
        [run("grpo", "start", 0, "0110")],
        settings={"max_steps": 2},
        failed={"x": {"warm-0 x": "y"}},
        planned={"grpo": 3, "x": 1},
    )
    record.save(alone, files.results_file(tmp_path, "repair"))
    files.write_report(tmp_path)
    told = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "failed: warm-0 x: y" in told
    assert "2 runs of 4 that are planned were not run." in told


def test_a_report_needs_no_torch(folder, tmp_path):
    program = (
        "import sys; from pathlib import Path; import benchmarks.compare.__main__\n"
        "from benchmarks.compare import files; files.load(Path(sys.argv[1]))\n"
        "files.write_report(Path(sys.argv[2]))\n"
        "print([m for m in ('torch', 'transformers', 'datasets') if m in sys.modules])"
    )
    record.save(small(), files.results_file(tmp_path, "repair"))
    command = [sys.executable, "-c", program, str(folder), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


def test_text_is_escaped_and_code_is_marked():
    blocks = [
        page.Heading(1, "A <b> & c"),
        page.Paragraph("`x<y` is code"),
        page.Points(("one", "two")),
        page.Code("a & b"),
        page.Grid(Table(["", "n"], [["`a|b`", "1.0 (0.5 to 2.0)"], ["c", "held"]]), "A note."),
        page.Picture("p", "<svg/>", 'a "picture"'),
    ]
    shown = page.page(blocks)
    for told in (
        "<title>A &lt;b&gt; &amp; c</title>",
        "<code>x&lt;y</code> is code",
        "<ul><li>one</li><li>two</li></ul>",
        "<pre>a &amp; b</pre>",
        "<td>1.0<br><small>(0.5 to 2.0)</small></td>",
        '<td class="held">held</td>',
        '<p class="note">A note.</p>',
        '<img alt="a &quot;picture&quot;" src="data:image/svg+xml;base64,PHN2Zy8+">',
    ):
        assert told in shown, told
    assert "| `a\\|b` | 1.0 (0.5 to 2.0) |" in page.markdown(blocks)


def test_more_arms_than_colours_stay_apart():
    drawn = pictures.styles(many_arms())
    assert len(set(drawn.values())) == len(drawn) == 11
    assert drawn["base"][0] not in {style[0] for arm, style in drawn.items() if arm != "base"}


@pytest.mark.parametrize("num", [8, 9])
def test_many_arms_are_compared_with_mars_too(num):
    arms = ["murphy_mars", *(f"variant_{i}" for i in range(num - 1))]
    runs = [run(arm, "warm-0", 0, "0010", "0110") for arm in arms]
    base = run("base", "warm-0", None, "0010", "0010")
    own = {"variant_0": {}, "variant_1": {"like": "murphy_mars"}, "variant_2": {"like": "gone"}}
    made = world([base, *runs], "arms", settings=SETTINGS)
    liked = world([base, *runs], "arms", settings=SETTINGS | {"arms": own})
    grid = next(b.table for b in tell_world.differences(liked, "all") if isinstance(b, page.Grid))
    if num == 9:
        assert grid.header[-2:] == ["like", "against that one"]
        beside = [row[-2:] for row in grid.rows]
        assert (
            beside
            == [["-", "-"]] * 2 + [["`murphy_mars`", "+0.0 (+0.0 to +0.0)"]] + [["-", "-"]] * 6
        )
    else:
        assert "like" not in grid.header
    tables = [b.table for b in tell_world.differences(made, "all") if isinstance(b, page.Grid)]
    wanted = ["arm", "against `base`", *(["against `murphy_mars`"] if num == 9 else [])]
    assert [list(table.header) for table in tables] == [wanted, wanted]


@pytest.mark.parametrize("curves", [None, "embedded:test", "embedded:selection"])
def test_lines_of_other_tasks_than_their_ends_are_told(curves):
    told = SETTINGS | {"eval_tasks": "embedded:test", "curve_tasks": curves}
    (paid,) = (
        block
        for block in tell_costs.paid(world(small().runs, settings=told), "all")
        if isinstance(block, page.Picture)
    )
    apart = "lines are of embedded:selection, marks and base of embedded:test"
    assert (apart in paid.about) == (curves == "embedded:selection")


def test_figures_can_be_had_as_json(tmp_path):
    files.write_figures(tmp_path / "f.json", {"commit": "abc"}, [small()], expected.load())
    found = json.loads((tmp_path / "f.json").read_text())
    repair = found["worlds"]["repair"]
    assert (found["commit"], repair["subset"]) == ("abc", "all")
    assert repair["pass_at_1"]["murphy_mars"][2][0] == 0.8125
    assert repair["against base"]["murphy_mars"][0] == 0.4375
    assert [e["verdict"] for e in repair["expected"]] == ["not told apart", "not run"]
    later = [dataclasses.replace(expected.load()["repair"][0], after="on other tasks")]
    files.write_figures(tmp_path / "f.json", {}, [small()], {"repair": later})
    told = json.loads((tmp_path / "f.json").read_text())["worlds"]["repair"]["expected"]
    assert [e["after"] for e in (*repair["expected"], *told)] == ["", "", "on other tasks"]
    assert (repair["made"]["commits"], repair["made"]["machine"]["cores"]) == (["abc"], 2)
    assert repair["runs"][0] == {"run": "grpo of warm-0, seed 0", "commit": "", "resumed": 0}


def test_the_headline_is_of_vague_tasks_where_there_are_such():
    assert (subset_of(probe()), subset_of(small())) == ("vague", "all")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--report", "--world", "repair"], "--report trains nothing"),
        (["--report", "--seeds", "0"], "--report trains nothing"),
        (["--quick", "--seeds", "0"], "--quick has one seed"),
        (["--seeds", "1", "1", "--world", "WORLD"], "seeds is [1, 1]; give one or more"),
        (["--world", "nothing"], "--world is 'nothing', of which there is no settings file"),
        (["--processes", "0", "--world", "WORLD"], "num_processes is 0"),
    ],
)
def test_the_command_refuses_what_it_cannot_do(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("model: tiny\nalgorithms: [grpo]\n")
    with pytest.raises(SystemExit):
        command_line.main([argument.replace("WORLD", "mine.yaml") for argument in arguments])
    assert message in capsys.readouterr().err
    assert not Path("runs").exists()


def test_a_world_that_goes_wrong_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        Path(f"{name}.yaml").write_text("model: tiny\nalgorithms: [grpo]\n")
    asked = []

    def compare(config):
        asked.append((Path(config.output_dir).name, config.seeds))
        raise ValueError(f"{asked[-1][0]} cannot be done")

    monkeypatch.setattr("murphy_agents.compare.run.compare", compare)
    assert command_line.main(["--world", "one.yaml", "two.yaml", "--seeds", "4"]) == 1
    assert asked == [("one", [4]), ("two", [4])]
    assert "world two: two cannot be done" in capsys.readouterr().err


def test_every_world_has_settings_that_can_be_run(tmp_path):
    for name in worlds.names():
        found = worlds.config(worlds.file_of(name), tmp_path)
        assert found.seeds == [0, 1, 2, 3, 4]
        assert found.warm_starts == [0, 1]
        worlds.config(worlds.file_of(name), tmp_path, quick=True)


def test_arms_of_expectations_are_arms_of_their_worlds():
    for name, told in expected.load().items():
        found = worlds.config(worlds.file_of(name), "runs")
        rows = {*found.all_arms, BASE, *(RIVALS if found.supervised else ())}
        assert {arm for e in told for arm in (e.arm, e.other)} <= rows, name
        assert {bound.arm for bound in loud.load().get(name, ("", []))[1]} <= rows, name
        assert {e.iteration for e in told} == {found.iterations}
        assert {e.subset for e in told} == {"vague" if name.startswith("probe") else "all"}


@pytest.mark.slow
@pytest.mark.timeout(600)  # processes that import much, on machines that have other work
def test_a_quick_run_from_its_settings_to_its_report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("mini.yaml").write_text("algorithms: [grpo, murphy_mars]\nseeds: [0, 1]\n")
    arguments = ["--world", "mini.yaml", "--quick", "--json", "figures.json", "--processes", "2"]
    assert command_line.main(arguments) == 0
    assert json.loads(Path("figures.json").read_text())["worlds"].keys() == {"mini"}
    assert "written: runs/benchmark/quick/report.html" in capsys.readouterr().out
    home = tmp_path / "runs/benchmark/quick"
    kept = record.load(home / "results/mini.jsonl")
    assert kept.names == ("base", "grpo", "murphy_mars")
    assert kept.command == "python -m benchmarks.compare --world mini.yaml --quick"
    assert kept.arms["grpo"] == {"algorithm": "grpo", "num_generations": 20, "max_steps": 2}
    assert len(kept.tasks) == len(kept.runs[1].solved[2]) == 8
    assert kept.runs[1].costs["generations"] == 80  # two steps of two problems
    assert kept.runs[1].costs["steps"] == 2
    assert (kept.planned, kept.num_missing) == ({"base": 1, "grpo": 1, "murphy_mars": 1}, 0)
    assert (kept.runs[1].commit.split()[0], kept.runs[1].num_resumed) == (kept.commits[0], 0)
    assert kept.machine["runs at a time"] == 2
    assert kept.runs[1].mechanism["all"].keys() == {"loud", "repeats", "repairs"}
    assert len(kept.commits) == 1
    assert not (files.HOME / "results/mini.jsonl").exists()
    # The report is that of the results alone.
    before = {p: p.read_bytes() for p in home.rglob("*") if p.suffix in (".md", ".html", ".svg")}
    files.write_report(home)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.slow
def test_the_committed_report_is_that_of_the_committed_results(tmp_path):
    committed = sorted((files.HOME / "results").glob("*.jsonl"))
    assert committed
    (tmp_path / "results").mkdir()
    for file in committed:
        shutil.copy(file, tmp_path / "results")
    files.write_report(tmp_path)
    made = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.*") if p.is_file())
    kept = [files.HOME / name for name in ("report.md", "report.html")]
    kept += sorted((files.HOME / page.PICTURES).glob("*.svg"))
    kept = sorted(str(path.relative_to(files.HOME)) for path in (*kept, *committed))
    assert kept == made
    _, other, missing = filecmp.cmpfiles(files.HOME, tmp_path, made, shallow=False)
    assert (other, missing) == ([], [])

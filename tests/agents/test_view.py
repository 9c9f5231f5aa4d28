"""What the page of a run holds, and what is refused; the page in a browser is `test_view_page`."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys

import pytest
from view_runs import few_trees, many_trees, node, write_run

from murphy_agents import TrainConfig, train
from murphy_agents.algorithms import grpo
from murphy_agents.cli import main
from murphy_agents.run import origin
from murphy_agents.view import write_page
from murphy_agents.view.data import FLAGS, page_data
from murphy_agents.view.reading import records, steps_of


def numbers(ids):
    return " ".join(map(str, ids))


def data_in(path):
    """The data of a written page."""
    found = re.search(
        r'<script id="data" type="application/json">(.*?)</script>', path.read_text(), re.DOTALL
    )
    return json.loads(found[1])


def texts(data, field):
    return [None if i < 0 else data["strings"][i] for i in data["nodes"][field]]


def test_nodes_know_their_parents_and_trees_their_sizes():
    data = page_data(few_trees(), numbers)
    assert [(t["step"], t["problem"], t["size"]) for t in data["trees"]] == [
        (1, 0, 5), (1, 1, 1), (2, 0, 2), (2, 1, 1)
    ]  # fmt: skip
    assert [data["strings"][tree["task"]] for tree in data["trees"]] == ["t", "u", "u", "t"]
    assert data["nodes"]["parent"] == [-1, -1, 0, 0, 1, -1, -1, 6, -1]
    assert data["nodes"]["place"] == [0, 1, 0, 1, 0, 0, 0, 0, 0]
    assert {len(values) for values in data["nodes"].values()} == {9}


def test_figures_and_texts_are_those_of_the_rollouts():
    data = page_data(few_trees(), numbers)
    nodes = data["nodes"]
    assert nodes["reward"] == [0.5, 0, 1, 0.5, 0.25, 1, 0.25, 0.25, None]
    assert nodes["credit"] == [1, 0, 1, 0.5, 0.25, 1, 0.25, None, None]
    assert nodes["advantage"][:4] == [0.75, -0.75, 0.866, -0.866]
    assert nodes["tokens"] == [3] * 9
    assert texts(data, "code")[:3] == ["a\nb\nc", None, "a\nB\nc\nd"]
    assert texts(data, "feedback")[-1] == "the pool broke"
    assert texts(data, "prompt") == ["1 2"] * 9


def test_flags_say_what_became_of_a_node():
    flags = page_data(few_trees(), numbers)["nodes"]["flags"]
    assert flags == [
        0,
        FLAGS["truncated"],
        FLAGS["solved"],
        0,
        0,
        FLAGS["solved"],
        0,
        FLAGS["pruned"],
        0,
    ]
    # Under reward="gain" a repair of a half-right program earns 0.5; the tests say solved.
    repaired = page_data([node([0], 0.5, pass_rate=1.0)], numbers)
    assert repaired["nodes"]["flags"] == [FLAGS["solved"]]
    # An environment that tells no share of tests: its reward decides.
    told = page_data([node([0], 1.0, pass_rate=None)], numbers)
    assert told["nodes"]["flags"] == [FLAGS["solved"]]


def test_what_the_update_leaves_out_is_marked(tmp_path):
    told = [node([0], finish_reason="length"), node([1], completion_ids=[]), node([2])]
    cut, empty = FLAGS["truncated"], FLAGS["left_out"]
    assert page_data(told, numbers)["nodes"]["flags"] == [cut, empty, 0]
    run = write_run(tmp_path, told)
    for masks, flags in ((False, [cut, empty, 0]), (True, [cut + empty, empty, 0])):
        (run / "config.json").write_text(json.dumps({"mask_truncated_completions": masks}))
        assert data_in(write_page(run))["nodes"]["flags"] == flags


def test_without_a_kl_term_advantages_of_0_are_left_out(tmp_path):
    run = write_run(tmp_path, [node([0], advantage=0.0), node([1], advantage=-0.5)])
    out = FLAGS["left_out"]
    for told, flags in (({"beta": 0.0}, [out, 0]), ({"beta": 0.04}, [0, 0]), ({}, [0, 0])):
        (run / "config.json").write_text(json.dumps(told))
        assert data_in(write_page(run))["nodes"]["flags"] == flags


def test_a_text_is_held_once():
    data = page_data([node([i], code="same") for i in range(50)], numbers)
    assert data["strings"].count("same") == 1
    assert len(set(data["strings"])) == len(data["strings"])


def test_a_run_too_large_for_a_page_is_told_of_steps():
    with pytest.raises(ValueError, match=r"larger than 0 MB.*step 1.*--steps"):
        page_data(many_trees(3), numbers, most_bytes=10_000)
    # What counts are distinct texts: a hundred nodes of one text are few bytes.
    assert page_data([node([i]) for i in range(100)], numbers, most_bytes=10_000)


def test_a_node_without_its_parent_is_refused():
    with pytest.raises(ValueError, match=r"step 1, problem 0: attempt \[1, 0\] comes before"):
        page_data([node([0]), node([1, 0])], numbers)


@pytest.mark.parametrize(
    ("text", "steps"), [("3", {3}), ("1,2,5-7", {1, 2, 5, 6, 7}), (" 4 - 4 ,1", {1, 4})]
)
def test_steps_are_numbers_and_ranges(text, steps):
    assert steps_of(text) == steps


@pytest.mark.parametrize("text", ["", "a", "5-2", "0", "1,,2", "-3", "1-", "1-9999999999"])
def test_other_steps_are_refused(text):
    with pytest.raises(ValueError, match="--steps has"):
        steps_of(text)


def test_only_the_steps_asked_for_are_read(tmp_path):
    path = write_run(tmp_path, few_trees()) / "rollouts.jsonl"
    assert [record["step"] for record in records(path, {2})] == [2, 2, 2]
    with pytest.raises(ValueError, match=r"--steps names none that .* has: 1 to 2"):
        list(records(path, {3}))


def test_a_run_that_goes_on_is_shown_as_far_as_it_is(tmp_path):
    cut = json.dumps(node([0, 0]))[:80]
    path = write_run(tmp_path, [node([0])], end=cut) / "rollouts.jsonl"
    assert [record["path"] for record in records(path)] == [[0]]
    with pytest.raises(ValueError, match="no whole line yet"):
        list(records(write_run(tmp_path / "new", []) / "rollouts.jsonl"))


def test_a_line_that_is_no_node_is_named(tmp_path):
    for line in ('{"step": 1, "path": [0]}', "[1]", "\x00"):
        path = write_run(tmp_path, [node([0])], end=line + "\n") / "rollouts.jsonl"
        with pytest.raises(ValueError, match=r"line 2 of .* is no node of a rollout.*lacks"):
            list(records(path))


@pytest.mark.parametrize(
    ("name", "value"),
    [("path", []), ("path", "0"), ("reward", "much"), ("prompt_ids", None), ("step", "1")],
)
def test_a_field_of_another_kind_is_named(tmp_path, name, value):
    path = write_run(tmp_path, [node([0]), {**node([1]), name: value}]) / "rollouts.jsonl"
    with pytest.raises(ValueError, match=rf"line 2 of .* has something else for {name};"):
        list(records(path))


def test_feedback_that_is_no_text_is_shown_as_json():
    told = {"missing": ["é"], "passed": 3}
    data = page_data([node([0], feedback=told), node([1], feedback=7)], numbers)
    assert texts(data, "feedback") == ['{"missing": ["é"], "passed": 3}', "7"]


def test_files_that_are_no_pages_are_kept(tmp_path):
    run = write_run(tmp_path, few_trees())
    rollouts = run / "rollouts.jsonl"
    before = rollouts.read_bytes()
    with pytest.raises(FileExistsError, match="which is there and is no page"):
        write_page(run, rollouts)
    assert rollouts.read_bytes() == before
    page = run / "old.html"
    page.write_text("old")
    assert "Content-Security-Policy" in write_page(run, page).read_text()


def test_a_folder_without_rollouts_is_told_what_is_expected(tmp_path, capsys):
    assert main(["view", str(tmp_path / "nowhere")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    (tmp_path / "evaluation.jsonl").write_text("{}\n")
    assert main(["view", str(tmp_path)]) == 2
    assert (
        "holds no rollouts.jsonl; give the output_dir of `murphy train`" in capsys.readouterr().err
    )
    write_run(tmp_path / "cells" / "seed-0", [node([0])])
    assert main(["view", str(tmp_path)]) == 2
    assert f"give one of them: {tmp_path / 'cells' / 'seed-0'}" in capsys.readouterr().err
    assert main(["view", str(tmp_path / "cells" / "seed-0"), "--output", str(tmp_path)]) == 2
    assert "give a file in a folder that is there" in capsys.readouterr().err
    assert main(["view"]) == 2
    assert main(["view", str(tmp_path), "--step", "1"]) == 2


def test_the_page_allows_its_own_style_and_script_alone(tmp_path):
    text = write_page(write_run(tmp_path / "<b>", few_trees())).read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    allowed = re.findall(r"(\w+)-src '([^']*)'", policy)
    for name, part in (("style", "style"), ("script", "script")):
        inside = re.search(rf"<{part}>(.*?)</{part}>", text, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert (name, f"sha256-{digest}") in allowed
    assert ("default", "none") in allowed
    assert len(allowed) == 3
    assert "<title>&lt;b&gt;: rollout trees</title>" in text
    assert not re.search(r"https?://|\bsrc=|\bhref=|@import|url\(", text)


def test_no_text_of_a_program_can_leave_the_data(tmp_path):
    hostile = "</script><img src=x onerror=alert(1)><!--{{script}}\u2028\x00\ud800"
    run = write_run(tmp_path, [node([0], completion=hostile, task_id=hostile, feedback=hostile)])
    path = write_page(run)
    data = data_in(path)
    assert texts(data, "completion") == texts(data, "feedback") == [hostile]
    raw = path.read_text()
    assert raw.count("</script>") == 2
    assert "<img" not in raw
    assert re.search(r'type="application/json">(.*?)</script>', raw, re.DOTALL)[1].isascii()


def test_the_page_is_opened_where_that_is_asked_for(tmp_path):
    run = write_run(tmp_path / "run", few_trees())
    browser, seen = tmp_path / "browser", tmp_path / "seen"
    browser.write_text(f'#!/bin/sh\necho "$1" > {seen}\n')
    browser.chmod(0o755)
    command = [sys.executable, "-m", "murphy_agents.cli", "view", str(run), "--open"]
    environment = {**os.environ, "BROWSER": f"{browser} %s"}
    subprocess.run(command, check=True, env=environment, capture_output=True)
    assert seen.read_text().strip() == (run / "view.html").as_uri()


def test_figures_that_json_has_no_number_for_are_told(tmp_path):
    data = data_in(write_page(write_run(tmp_path, [node([0], 0.5, advantage=float("nan"))])))
    assert data["nodes"]["advantage"] == ["nan"]


def test_a_real_run_is_shown_with_its_prompts(tmp_path, capsys):
    run = tmp_path / "run"
    train(
        TrainConfig(
            model="tiny:llama",
            output_dir=str(run),
            fanout=[2, 2],
            max_steps=2,
            per_device_train_batch_size=2,
            max_completion_length=8,
        )
    )
    page = tmp_path / "page.html"
    assert main(["view", str(run), "--output", str(page), "--steps", "2"]) == 0
    assert f"written to {page}" in capsys.readouterr().out
    data = data_in(page)
    assert [tree["step"] for tree in data["trees"]] == [2, 2]
    assert data["run"]["settings"]["algorithm"] == "murphy_mars"
    # Each of the two first attempts, which a random model fails, is refined twice.
    assert [tree["size"] for tree in data["trees"]] == [6, 6]
    first, *_, last = texts(data, "prompt")
    assert first.startswith("<|im_start|>user\ndef f(")
    assert last.count("<|im_start|>") > 1
    assert data["run"]["note"] == ""


def test_without_a_tokenizer_prompts_are_ids_and_the_page_says_so(tmp_path):
    data = data_in(write_page(write_run(tmp_path, few_trees())))
    assert texts(data, "prompt")[0] == "1 2"
    assert data["run"]["note"].startswith(
        "prompts are shown as token ids: the run has no tokenizer"
    )


def test_a_tokenizer_that_cannot_be_read_is_told(tmp_path):
    run = write_run(tmp_path, few_trees())
    (run / "final").mkdir()
    (run / "final" / "tokenizer.json").write_text("{")
    data = data_in(write_page(run))
    assert texts(data, "prompt")[0] == "1 2"
    assert "tokenizer.json cannot be read" in data["run"]["note"]


def one_turn(config):
    return grpo(config.num_generations)


def settings_shown(folder, given=(), **settings):
    """What the head of the page says of a run with these settings."""
    run = write_run(folder, few_trees())
    config = TrainConfig(output_dir=str(folder), **settings)
    (run / "config.json").write_text(json.dumps(vars(config)))
    origin.write(run, config, 9, given)
    return data_in(write_page(run))["run"]["settings"]


@pytest.mark.parametrize(
    ("given", "settings", "algorithm", "others"),
    [
        (
            (),
            {"algorithm": "murphy_mers"},
            "murphy_mers",
            {"tasks": "embedded", "prune": "keep_all"},
        ),
        (
            (),
            {"make_algorithm": f"{__name__}:one_turn"},
            f"{__name__}:one_turn",
            {"tasks": "embedded"},
        ),
        (["algorithm", "tasks"], {}, "one of its program's own", {}),
        (["make_env"], {}, "murphy_mars", {"prune": "keep_all"}),
    ],
)
def test_the_head_says_what_was_read_of_the_settings(given, settings, algorithm, others, tmp_path):
    shown = settings_shown(tmp_path, given, **settings)
    assert shown.pop("algorithm") == algorithm
    assert {name: shown[name] for name in shown.keys() & {"tasks", "prune"}} == others
    assert shown["seed"] == "0"


def test_the_head_names_no_path_of_this_machine(tmp_path):
    told = {"model": "/home/me/models/own", "tasks": "mbpp:test@/home/me/mbpp.jsonl"}
    shown = settings_shown(tmp_path, **told)
    assert (shown["model"], shown["tasks"]) == ("(local path)", "mbpp:test@(local path)")
    assert "/home/me" not in (tmp_path / "view.html").read_text()


@pytest.mark.parametrize("model", ["./gone", "runs/gone--far", "gone/", "~/gone", "gone/model.git"])
def test_a_folder_that_is_gone_is_no_name_on_the_hub(model, tmp_path):
    run = write_run(tmp_path, few_trees())
    (run / "config.json").write_text(json.dumps({"model": model}))
    assert "the run has no tokenizer" in data_in(write_page(run))["run"]["note"]

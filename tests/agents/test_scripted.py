import pytest

from murphy_agents.codec import CharCodec, ChatCodec
from murphy_agents.engines.protocol import Request, SamplingParams
from murphy_agents.engines.scripted import ScriptedEngine, reference_script
from murphy_agents.tiny import make_tokenizer
from murphy_env.types import Task

PARAMS = SamplingParams(max_tokens=50)


def request(tag, task_id="a", turn=1, num=1, params=PARAMS):
    return Request((5, 6), tuple(range(num)), params, tag, task_id, turn)


def drained(engine):
    polls = []
    while finished := engine.poll():
        polls.append(finished)
    return polls


def test_a_function_answers_each_seed():
    engine = ScriptedEngine(lambda r: [f"{r.task_id}{seed}" for seed in r.seeds], CharCodec())
    engine.submit(request("t", num=3))
    assert [(c.tag, c.index, c.text) for c in engine.poll()] == [
        ("t", 0, "a0"),
        ("t", 1, "a1"),
        ("t", 2, "a2"),
    ]


def test_ids_are_the_codecs_and_end_with_its_end_token():
    codec = ChatCodec(make_tokenizer(["return a + b"]))
    engine = ScriptedEngine({"a": "return <|im_end|>"}, codec)
    engine.submit(request("t"))
    [completion] = engine.poll()
    assert completion.ids == (*codec.encode_text("return <|im_end|>"), codec.end_of_turn)
    assert completion.logprobs == (0.0,) * len(completion.ids)
    assert (completion.text, completion.finish_reason) == ("return <|im_end|>", "stop")


def test_a_text_past_the_limit_is_cut_and_does_not_end():
    engine = ScriptedEngine({"a": "four"}, CharCodec())
    engine.submit(request("cut", params=SamplingParams(max_tokens=4)))
    engine.submit(request("whole", params=SamplingParams(max_tokens=5)))
    cut, whole = engine.poll()
    assert (cut.text, cut.finish_reason, len(cut.ids)) == ("four", "length", 4)
    assert (whole.text, whole.finish_reason, len(whole.ids)) == ("four", "stop", 5)


def test_a_list_answers_by_turn_and_a_string_always():
    engine = ScriptedEngine({"a": ["first", "second"], "b": "same"}, CharCodec())
    for tag, (task_id, turn) in enumerate([("a", 1), ("a", 2), ("b", 7)]):
        engine.submit(request(tag, task_id, turn))
    assert [c.text for c in engine.poll()] == ["first", "second", "same"]


@pytest.mark.parametrize(
    ("task_id", "turn", "message"),
    [("a", 3, "has 2 turns and turn 3"), ("z", 1, "nothing for task 'z'")],
)
def test_a_script_that_has_run_out_is_named(task_id, turn, message):
    engine = ScriptedEngine({"a": ["first", "second"]}, CharCodec())
    with pytest.raises(ValueError, match=message):
        engine.submit(request("t", task_id, turn))


def test_a_function_must_answer_every_seed():
    engine = ScriptedEngine(lambda r: ["one"], CharCodec())
    with pytest.raises(ValueError, match="1 texts for the 2 seeds"):
        engine.submit(request("t", num=2))


def test_shuffled_completions_are_the_same_in_another_order():
    def run(**options):
        engine = ScriptedEngine(lambda r: [str(s) for s in r.seeds], CharCodec(), **options)
        for tag in range(4):
            engine.submit(request(tag, num=4))
        return [(c.tag, c.index, c.text) for finished in drained(engine) for c in finished]

    straight, shuffled = run(), run(shuffle_seed=1, per_poll=3)
    assert straight == sorted(straight)
    assert shuffled != straight
    assert sorted(shuffled) == straight
    assert run(shuffle_seed=1, per_poll=3) == shuffled


def test_polls_return_as_many_as_asked_then_nothing():
    engine = ScriptedEngine({"a": "x"}, CharCodec(), per_poll=2)
    engine.submit(request("t", num=5))
    assert [len(finished) for finished in drained(engine)] == [2, 2, 1]
    assert engine.poll() == []


def test_a_tag_is_free_again_once_all_its_completions_are_back():
    engine = ScriptedEngine({"a": "x"}, CharCodec(), per_poll=1)
    engine.submit(request("t", num=2))
    engine.poll()
    with pytest.raises(ValueError, match="'t' is in flight"):
        engine.submit(request("t"))
    engine.poll()
    engine.submit(request("t"))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (Request((), (0,), PARAMS, "t"), "empty prompt"),
        (Request((1,), (), PARAMS, "t"), "one number of 0 or more"),
        (Request((1,), (-1,), PARAMS, "t"), "one number of 0 or more"),
        (Request((1, 2), (0,), SamplingParams(9), "t"), r"needs 11 ids \(2 of prompt"),
    ],
)
def test_requests_that_no_engine_could_serve_are_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        ScriptedEngine(lambda r: ["x"], CharCodec(), context_length=10).submit(bad)


def test_the_reference_script_answers_with_the_reference():
    tasks = [Task("add", "Write add.", ["assert add(1, 2) == 3"], reference="def add(a, b): ...")]
    assert reference_script(tasks) == {"add": "<output>\ndef add(a, b): ...\n</output>"}


def test_tasks_without_a_reference_are_named():
    tasks = [Task("add", "Write add.", ["assert add(1, 2) == 3"])]
    with pytest.raises(ValueError, match=r"1 of 1 tasks, the first \['add'\]"):
        reference_script(tasks)


def test_a_stop_text_cuts_what_is_said():
    engine = ScriptedEngine({"t": "one two three"}, CharCodec())
    engine.submit(Request((7,), (0,), SamplingParams(99, stop=("three", "two")), "a", "t"))
    (done,) = engine.poll()
    assert (done.text, done.finish_reason) == ("one two", "stop")
    assert len(done.ids) == len("one two")

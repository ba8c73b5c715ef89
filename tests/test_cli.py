"""The command line, through the real entry point."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import agentracer
from agentracer import cli
from agentracer.attribution import backends

LOG = {
    "question": "How many?",
    "ground_truth": "8",
    "mistake_agent": "Bob",
    "mistake_step": "1",
    "mistake_reason": "guessed",
    "history": [
        {"name": "Alice", "role": "assistant", "content": "Bob, how many are there?"},
        {"name": "Bob", "role": "user", "content": "I think 4 boxes of 7 make 30."},
        {"name": "Alice", "role": "assistant", "content": "So the answer is 30."},
    ],
}


def agentracer_command(*arguments, stdin="", env=None):
    """Run the installed command as a user would, in a pipe."""
    program = shutil.which("agentracer", path=str(Path(sys.executable).parent))
    return subprocess.run(
        [program, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},
    )


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "1.json"
    path.write_text(json.dumps(LOG))
    return path


@pytest.fixture
def recorded():
    with agentracer.record("count boxes", check=lambda _: False) as run:
        for agent, text in [("alice", "how many?"), ("bob", "4 boxes of 7 make 30")]:
            run.recorder.end_step(run.recorder.begin_step(agent), content=text)
    return run.id


def test_version():
    assert agentracer_command("--version").stdout.strip().endswith(agentracer.__version__)


def test_help_states_the_exit_statuses():
    text = agentracer_command("--help").stdout
    assert "0 done, 2 usage or bad input, 3 partly done" in " ".join(text.split())


def test_attribute_a_file_names_agent_and_step(log):
    result = agentracer_command("attribute", log)
    assert result.returncode == 0
    assert re.search(
        r"^No step stands out\.\n  read these first: step [012] \((Alice|Bob)\)", result.stdout
    )
    assert "\x1b" not in result.stdout
    assert result.stderr == ""


def test_json_is_alone_on_stdout(log):
    for flag in (["--json"], ["--format", "json"]):
        verdict = json.loads(agentracer_command("attribute", log, *flag).stdout)
        assert verdict["agent"] in {"Alice", "Bob"}
        said = [(one["agent"], one["step"]) for one in verdict["candidates"]]
        assert set(said) <= {("Alice", 0), ("Bob", 1), ("Alice", 2)}
        assert said[0][1] == verdict["step"]


def test_a_folder_gives_a_list_of_verdicts(log):
    shutil.copy(log, log.parent / "2.json")
    assert len(json.loads(agentracer_command("attribute", log.parent, "--json").stdout)) == 2


def test_standard_input_takes_every_format(log, recorded, home):
    from_log = agentracer_command("attribute", "-", "--json", stdin=log.read_text())
    assert json.loads(from_log.stdout)["agent"]
    shown = agentracer_command("show", recorded, "--json").stdout
    assert json.loads(agentracer_command("attribute", "-", "--json", stdin=shown).stdout)["agent"]
    journal = (home / "traces" / f"{recorded}.jsonl").read_text()
    assert json.loads(agentracer_command("attribute", "-", "--json", stdin=journal).stdout)["agent"]


def test_list_show_and_attribute_work_with_no_options(recorded):
    assert recorded in agentracer_command("list").stdout
    assert json.loads(agentracer_command("list", "--json", "--failed").stdout)[0]["steps"] == 2
    assert "4 boxes of 7 make 30" in agentracer_command("show").stdout
    assert agentracer_command("attribute", "latest").returncode == 0
    assert "o step stands out" in agentracer_command("show", recorded[-8:]).stdout


def test_an_empty_store_is_no_error(home):
    result = agentracer_command("list")
    assert (result.returncode, result.stdout.strip()) == (0, "no traces")
    assert str(home) in result.stderr


def test_a_report_is_written_where_asked(log, tmp_path):
    result = agentracer_command("report", log, "-o", tmp_path / "out.html")
    assert result.stdout.strip() == str(tmp_path / "out.html")
    assert "<html" in (tmp_path / "out.html").read_text()


def test_opentelemetry_spans_are_imported_into_the_store():
    spans = Path(__file__).parent / "formats" / "data" / "otel_traceloop.json"
    trace_id = agentracer_command("import-otel", spans).stdout.strip()
    assert "o step stands out" in agentracer_command("attribute", trace_id).stdout
    wrong = agentracer_command("import-otel", "-", stdin="{}")
    assert wrong.returncode == cli.BAD_INPUT
    assert "remedy" in wrong.stderr


def test_export_writes_other_formats(recorded):
    atif = json.loads(agentracer_command("export", "--format", "atif").stdout)
    assert atif["schema_version"].startswith("ATIF")
    log = json.loads(agentracer_command("export", "--format", "whowhen").stdout)
    assert [entry["name"] for entry in log["history"]] == ["alice", "bob"]


@pytest.mark.parametrize(
    ("content", "place", "complaint"),
    [
        ("", "", "is empty"),
        ("{", "line 1", "ends too early"),
        ("\x00\x01", "line 1", "not JSON"),
        ("[1, 2]", "", "in no known format"),
        ('{"a": 1}', "", "its fields are 'a'"),
        (json.dumps({**LOG, "mistake_step": "99"}), "mistake_step", "99"),
        (json.dumps({"schema_version": "9.0", "id": "x", "observed": {}}), "", "9.0"),
        (json.dumps({"schema_version": "1.0", "id": "x", "observed": {"steps": [{}]}}),
         "observed.steps[0]", "Field required"),
    ],
)  # fmt: skip
def test_bad_input_is_one_message_with_file_place_and_remedy(tmp_path, content, place, complaint):
    path = tmp_path / "bad.json"
    path.write_text(content)
    result = agentracer_command("attribute", path)
    assert result.returncode == cli.BAD_INPUT
    assert result.stdout == ""
    for part in (str(path), place, complaint, "remedy:"):
        assert part in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["attribute", "no-such-thing"], "no file or folder, and not the id of one recorded trace"),
        (["attribute", "1.json", "--model", "nonsense"], "nonsense"),
        (["attribute", "1.json", "--top-k", "0"], "top_k must be at least 1"),
        (["attribute"], "Missing argument"),
        (["bench", "whowhen", "nowhere"], "nowhere"),
        (["attribute", "1.json", "--format", "xml"], "xml"),
    ],
)
def test_usage_errors_have_status_2_and_name_the_remedy(log, monkeypatch, arguments, complaint):
    monkeypatch.chdir(log.parent)
    result = agentracer_command(*arguments)
    assert result.returncode == cli.BAD_INPUT
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr


def test_with_ground_truth_needs_one(recorded):
    result = agentracer_command("attribute", recorded, "--ground-truth")
    assert result.returncode == cli.BAD_INPUT
    assert "no ground truth" in result.stderr


def test_a_run_that_partly_fails_says_so_with_status_3(log, monkeypatch):
    class Moody:
        name, method = "moody", "mood"
        calls = 0

        def attribute(self, run, *, ground_truth):
            Moody.calls += 1
            if Moody.calls == 1:
                raise RuntimeError("not today")
            return backends.create_backend("embedded").attribute(run, ground_truth=ground_truth)

    monkeypatch.setitem(backends._BUILT_IN, "moody", f"{__name__}:Moody")
    monkeypatch.setattr(sys.modules[__name__], "Moody", lambda _argument: Moody(), raising=False)
    shutil.copy(log, log.parent / "2.json")
    result = CliRunner().invoke(
        cli.cli, ["attribute", str(log.parent), "--json", "--model", "moody"]
    )
    assert result.exit_code == cli.PARTLY_DONE
    assert len(json.loads(result.stdout)) == 1
    assert "not today" in result.stderr


def test_untrusted_text_cannot_drive_the_terminal(tmp_path):
    hostile = "\x1b[2J\x1b]0;owned\x07 [red]x[/red] \u202e \u200b [link=file:///etc]y[/link]"
    log = {**LOG, "history": [{"name": f"Bob{hostile}", "role": "x", "content": hostile}] * 3}
    log["mistake_agent"] = log["history"][0]["name"]
    path = tmp_path / "1.json"
    path.write_text(json.dumps(log))
    for command in ("attribute", "show"):
        output = agentracer_command(command, path).stdout
        assert not {"\x1b", "\x07", "\u202e", "\u200b"} & set(output)
        assert "[red]x[/red]" in output


def test_a_closed_pipe_is_no_error(log):
    program = shutil.which("agentracer", path=str(Path(sys.executable).parent))
    command = f"{program} attribute {log} --json | head -n 1"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert result.stderr == ""


def test_doctor_looks_at_versions_and_store(home):
    result = agentracer_command("doctor")
    assert result.returncode == 0
    assert f"agentracer: {agentracer.__version__}" in result.stdout
    assert str(home) in result.stdout
    subjects = [
        finding["subject"] for finding in json.loads(agentracer_command("doctor", "--json").stdout)
    ]
    assert {"agentracer", "python", "langgraph", "store"} <= set(subjects)


def test_doctor_warns_of_the_namesake(monkeypatch):
    from agentracer import doctor

    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda d: "0.3" if d == "agentracer" else real(d))
    findings = [f for f in doctor.examine() if f.subject == "namesake"]
    assert findings[0].level == "warning"
    assert "pip uninstall agentracer" in findings[0].remedy


def test_bench_prints_a_table_and_writes_everything(log, tmp_path):
    subset = tmp_path / "data" / "Some-Subset"
    subset.mkdir(parents=True)
    for number in range(3):
        shutil.copy(log, subset / f"{number}.json")
    result = agentracer_command("bench", "whowhen", subset.parent, "--json", tmp_path / "out.json")
    assert result.returncode == 0, result.stderr
    assert "embedded" in result.stdout
    data = json.loads((tmp_path / "out.json").read_text())
    assert "Some-Subset" in json.dumps(data)
    piped = agentracer_command("bench", "whowhen", subset.parent, "--json", "-")
    assert json.loads(piped.stdout)


@pytest.mark.slow
def test_the_demo_names_the_step_where_the_scripted_model_really_went_wrong(tmp_path):
    pytest.importorskip("langchain_openai", reason="needs the extra [demo]")
    result = agentracer_command("demo", "-o", tmp_path / "demo")
    assert result.returncode == 0, result.stderr
    assert "Its model is scripted" in result.stdout
    assert "OPENAI_BASE_URL" in result.stdout
    assert "The verdict is right." in result.stdout
    assert "confirmed" in result.stdout
    (page,) = (tmp_path / "demo").glob("*.html")
    assert str(page) in result.stdout
    assert len(json.loads(agentracer_command("list", "--json").stdout)) >= 7


@pytest.mark.slow
def test_verify_replays_a_run_of_the_demo_from_its_trace_alone(tmp_path):
    pytest.importorskip("langchain_openai", reason="needs the extra [demo]")
    agentracer_command("demo", "-o", tmp_path / "demo")
    listed = json.loads(agentracer_command("list", "--failed", "--json").stdout)
    proofs = []
    for run in listed:
        result = agentracer_command("attribute", run["id"], "--verify", "--json")
        assert result.returncode == 0, result.stderr
        proofs.append(json.loads(result.stdout)["verification"])
    confirmed = [proof for proof in proofs if proof["status"] == "confirmed"]
    assert confirmed
    assert all(proof["flips"] == 1 and proof["control_flips"] == 0 for proof in confirmed)


def test_list_leaves_replays_out_and_latest_is_no_replay(recorded):
    with agentracer.record("count boxes", metadata={"replay": {}}, parent=recorded) as replay:
        pass
    listed = json.loads(agentracer_command("list", "--json").stdout)
    assert [run["id"] for run in listed] == [recorded]
    every = json.loads(agentracer_command("list", "--replays", "--json").stdout)
    assert [run["id"] for run in every] == [replay.id, recorded]
    assert agentracer.Store().resolve("latest") == recorded


def test_verify_says_what_it_needs_where_the_system_is_unknown(recorded, log):
    unknown = agentracer_command("attribute", recorded, "--verify")
    assert unknown.returncode == 3
    assert "--system MODULE:FUNCTION" in unknown.stderr
    assert "o step stands out" in unknown.stdout  # the verdict itself is not lost
    imported = agentracer_command("attribute", log, "--verify")
    assert imported.returncode == 3
    assert "not recorded in this store" in imported.stderr


@pytest.mark.parametrize("spec", ["nonsense", "no_such_module:f", "os:no_such_function", "os:name"])
def test_a_wrong_system_is_named_before_anything_runs(recorded, spec):
    result = agentracer_command("attribute", recorded, "--verify", "--system", spec)
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: --system {spec}: ")
    assert result.stdout == ""


def test_a_system_of_ones_own_is_given_by_name(recorded, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from agentracer.replay import System\n"
        "def rebuild(trace):\n"
        "    print('asked for', trace.task)\n"
        "    return System(run=lambda: None, check=lambda _: True), lambda trace, step: None\n"
    )
    monkeypatch.chdir(tmp_path)
    result = agentracer_command("attribute", recorded, "--verify", "--system", "mine:rebuild")
    assert result.returncode == 0, result.stderr
    assert "asked for count boxes" in result.stdout
    assert "the oracle has no correction" in " ".join(result.stdout.split())

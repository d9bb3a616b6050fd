import argparse
import subprocess
import sys

import pytest
import yaml

from mult.cli import _parser, main
from tests.conftest import ROOT
from tests.project import cpu_seconds


def mult(*arguments, cwd=ROOT):
    command = [sys.executable, "-c", "from mult.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


def test_params_prints_the_chosen_scale():
    done = mult("params")
    assert done.returncode == 0
    settings = yaml.safe_load(done.stdout)
    assert settings["scale"]["training"]["steps"] > 0
    assert "scales" not in settings


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["params", "nowhere.yaml"], "error: nowhere.yaml: no such file"),
        (["repro", "--jobs", "0"], "error: --jobs: 0 is below 1"),
    ],
)
def test_a_mistake_is_one_line_and_code_1(arguments, complaint):
    done = mult(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(complaint)
    assert done.stderr.count("\n") == 1


def test_help_comes_at_once_and_has_examples(capsys):
    with cpu_seconds() as spent:
        assert mult("--help").returncode == 0
    assert spent() < 0.5
    for words in commands_of(_parser()):
        with pytest.raises(SystemExit):
            main([*words, "--help"])
        assert "example: " + " ".join(["mult", *words]) in capsys.readouterr().out


def commands_of(parser, words=()):
    """The words of every command and sub-command."""
    yield list(words)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                yield from commands_of(sub, (*words, name))


def test_stage_scripts_explain_themselves():
    def stage(*arguments):
        command = [sys.executable, "-m", "pipelines", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)

    assert "no stage script 'trian'; there are" in stage("trian").stderr
    assert stage("train").stderr == "error: usage: python -m pipelines train NAME\n"
    done = stage("train", "mult-nothing-s0")
    assert done.returncode == 1
    assert "'nothing' is none of self, skip, skip_lowrank, shared" in done.stderr

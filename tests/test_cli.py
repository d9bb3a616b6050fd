import subprocess
import sys

import pytest
import yaml

from mult.cli import main
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
    for command in ("params", "repro", "predict", "ui"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert f"example: mult {command}" in capsys.readouterr().out


def test_stage_scripts_explain_themselves():
    def stage(*arguments):
        command = [sys.executable, "-m", "pipelines", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)

    assert "no stage script 'trian'; there are" in stage("trian").stderr
    assert stage("train").stderr == "error: usage: python -m pipelines train NAME\n"
    done = stage("train", "mult-nothing-s0")
    assert done.returncode == 1
    assert "'nothing' is none of self, skip, skip_lowrank, shared" in done.stderr

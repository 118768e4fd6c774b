"""The command and the script of the flagship on two CPU processes, by torchrun and accelerate: alike, and like one."""

import json
import os
import subprocess
import sys

import pytest
import torch
import yaml
from safetensors.torch import load_file
from test_peers_distributed import free_port
from tiny_run import tiny_values

from brandon_hf.pipeline import Run, load_recipe

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed"),
]


def recipe(folder, batch):
    """A recipe of all phases without dropout, `batch` rows a process and step."""
    values = tiny_values(folder)
    values["model"]["dropout"] = values["teacher"]["model"]["dropout"] = 0.0
    for settings in (values["pretrain"], values["distill"], values["sft"], values["teacher"]["pretrain"]):
        settings |= {"per_device_train_batch_size": batch, "gradient_accumulation_steps": 1}
    path = folder / f"batch{batch}.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.mark.parametrize("launcher", ["torchrun", "accelerate"])
def test_two_processes_train_what_one_trains_with_twice_the_batch(launcher, repo, tmp_path):
    starts = {
        "torchrun": ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", free_port()],
        "accelerate": [
            *("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"),
            *("--main_process_port", free_port(), "--mixed_precision", "no", "--dynamo_backend", "no"),
        ],
    }
    programs = {"accelerate": ["-m", "brandon_hf", "run"], "torchrun": [str(repo / "scripts/train_10m_optimal.py")]}
    shown = {"accelerate": "-m brandon_hf run ", "torchrun": "train_10m_optimal.py "}
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ACCELERATE_", "RANK"))}
    environment |= {"PYTHONPATH": os.pathsep.join([str(repo), *sys.path]), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [
            *(sys.executable, *starts[launcher], *programs[launcher]),
            *("--recipe", str(recipe(tmp_path, 2)), "--output", str(tmp_path), "--name", "two"),
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-4000:]
    written = json.loads((tmp_path / "two/environment.json").read_text())
    assert written["processes"] == 2
    assert written["command"].startswith("torchrun --nproc_per_node 2 ")
    assert shown[launcher] in written["command"]

    one = Run(load_recipe(str(recipe(tmp_path, 4))), tmp_path / "one")
    one.execute()
    for phase in ("teacher", "phase1_pretrain", "phase2_distill", "phase3_sft"):
        weights, expected = (load_file(tmp_path / run / phase / "final/model.safetensors") for run in ("two", "one"))
        for name in expected:
            torch.testing.assert_close(weights[name], expected[name], atol=2e-4, rtol=2e-3, msg=f"{phase} {name}")
        lines = [
            [json.loads(line) for line in (tmp_path / run / phase / "metrics.jsonl").open()] for run in ("two", "one")
        ]
        for two_line, one_line in zip(*lines, strict=True):
            if phase != "phase3_sft":  # where padding depends on the rows that are together
                assert two_line["num_input_tokens_seen"] == one_line["num_input_tokens_seen"]
            assert two_line.get("loss", 0) == pytest.approx(one_line.get("loss", 0), rel=2e-3)

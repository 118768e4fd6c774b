"""Two processes on the CPU, started by torchrun and by accelerate, take one step together."""

import json
import math
import os
import socket
import subprocess
import sys

import pytest
import torch
from peers import is_complete, tiny_model, tiny_tokenizer
from transformers import AutoModelForCausalLM

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def launch(launcher, repo, folder, method="trainer", **options):
    """Run the script on two processes and return what each of them wrote."""
    starts = {
        "torchrun": ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", free_port()],
        "accelerate": [
            *("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"),
            *("--main_process_port", free_port(), "--mixed_precision", "no", "--dynamo_backend", "no"),
        ],
    }
    command = [sys.executable, *starts[launcher], str(repo / "tests/scripts_ddp_step.py")]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ACCELERATE_", "RANK", "WORLD"))}
    env |= {
        "PYTHONPATH": os.pathsep.join([str(repo), *sys.path]),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "MASTER_ADDR": "127.0.0.1",
    }
    env |= {"HF_HOME": str(folder / "home")}
    ended = subprocess.run(
        [*command, str(folder), method, json.dumps(options)], capture_output=True, text=True, timeout=240, env=env
    )
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-4000:]
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("rank*.json"))]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("trainer", {"num_mtp_heads": 2, "arguments": {"ddp_find_unused_parameters": False}}),
        ("trainer", {"value_residual": "learned", "arguments": {"gradient_checkpointing": True}}),
        ("sft", {}),
    ],
    ids=["mtp", "learned", "sft"],
)
def test_two_processes_end_with_equal_weights(method, options, repo, tmp_path):
    found = launch("torchrun", repo, tmp_path, method, **options)
    assert_two(found)
    assert is_complete(tmp_path / "final")


def assert_two(found):
    """There were two processes, each with a batch of its own, and they end with the same, moved weights."""
    assert len(found) == 2
    for rank in found:
        assert (rank["world_size"], rank["backend"]) == (2, "gloo")
        assert rank["distributed_type"] == "DistributedType.MULTI_CPU"
        assert math.isfinite(rank["loss"])
        assert rank["unmoved"] == []
    assert found[0]["batches"] != found[1]["batches"]
    assert found[0]["weights"] == found[1]["weights"]


@pytest.mark.slow
def test_accelerated_step_is_that_of_one_process_with_both_batches(repo, tmp_path):
    found = launch("accelerate", repo, tmp_path, arguments={"optim": "sgd", "max_grad_norm": 0})
    assert_two(found)
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer).train()
    total, count = 0.0, 0
    for rank in found:
        for rows in rank["batches"]:
            ids = torch.tensor(rows)
            mask = ids != tokenizer.pad_token_id
            logits = model(input_ids=ids, attention_mask=mask.long()).logits[:, :-1]
            labels = ids.masked_fill(~mask, -100)[:, 1:]
            total = total + torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
            count += int((labels != -100).sum())
    (total / count).backward()
    trained = AutoModelForCausalLM.from_pretrained(tmp_path / "final")
    moved = dict(trained.named_parameters())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(moved[name], parameter - 1e-2 * parameter.grad, atol=1e-6, rtol=1e-5)

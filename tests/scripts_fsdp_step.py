"""Run by test_peers_fsdp.py under torchrun: gradients of a model sharded block by block, against an unsharded one."""

import sys

import torch
from model_runners import random_ids, tiny_model
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from brandon_hf.modeling.modeling_brandon import BrandonBlock

torch.set_num_threads(1)
distributed.init_process_group("gloo")
mesh = init_device_mesh("cpu", (2,))
ids = random_ids(2, 6)
for name in sys.argv[1:]:
    whole, sharded = tiny_model(name).train(), tiny_model(name).train()
    whole(ids, labels=ids).loss.backward()
    for module in [*(block for block in sharded.modules() if isinstance(block, BrandonBlock)), sharded]:
        fully_shard(module, mesh=mesh)
    sharded.tie_weights()
    sharded(ids, labels=ids).loss.backward()
    expected = dict(whole.named_parameters())
    for parameter_name, parameter in sharded.named_parameters():
        assert parameter.to_local().numel() < expected[parameter_name].numel(), parameter_name
        torch.testing.assert_close(parameter.grad.full_tensor(), expected[parameter_name].grad, atol=1e-5, rtol=1e-4)
distributed.destroy_process_group()

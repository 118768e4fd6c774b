"""Every snippet of README.md runs, in the order of the page, in one folder."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def snippets(readme, language):
    return [code for found, code in BLOCK.findall(readme) if found == language]

"""Build entry: the package's metadata and what goes into it (tool settings live in pyproject.toml)."""

import re
from pathlib import Path

from setuptools import Extension, find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (ROOT / "brandon_hf/__init__.py").read_text("utf-8"), re.M)[1]

EXTRAS = {
    "eval": ["lm-eval>=0.4.13,<0.5"],
    "export": ["gguf>=0.17"],
    "demo": ["gradio>=6"],
    "serve": ["transformers[serving]"],
}
# The tests cover `brandon serve`, drive the page of `brandon demo` in Chromium and build a wheel without network, hence
# the serving stack, selenium and setuptools.
EXTRAS["dev"] = [
    *EXTRAS["serve"],
    "hypothesis",
    "mypy",
    "packaging",
    "pytest>=8",
    "pytest-xdist",
    "ruff",
    "selenium",
    "sentencepiece",
    "setuptools>=77",
    "types-PyYAML",
]

# The C engine, which brandon_hf.runtime loads by ctypes: no extension module, and nothing of Python in it.
ENGINE = "brandon_hf/runtime/engine"
NOT_HERE = {"main", "kernels_mmi", "platform_freestanding", "platform_ps2"}  # programs, and the PlayStation 2
ENGINE_LIBRARY = Extension(
    "brandon_hf.runtime._engine",
    sources=sorted(f"{ENGINE}/{path.name}" for path in (ROOT / ENGINE).glob("*.c") if path.stem not in NOT_HERE),
    depends=sorted(f"{ENGINE}/{path.name}" for path in (ROOT / ENGINE).glob("*.[hi]*")),
    # Fused products would make its kernels differ from each other.
    extra_compile_args=["-std=c99", "-O3", "-g0", "-fno-math-errno", "-ffp-contract=off", "-Wno-psabi"],
    optional=True,  # without a compiler everything else is installed
)

setup(
    name="brandon-hf",
    version=VERSION,
    description="Brandon-Tiny, small instruction-following language models, for the Hugging Face ecosystem",
    long_description=(ROOT / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    author="The Brandon-HF contributors",
    license="Apache-2.0 AND CC-BY-SA-4.0",  # the latter: the weights in pretrained/
    license_files=["LICENSE"],
    python_requires=">=3.10",
    # `modeling/` lives beside the package so that its flat files can be pushed to the Hub as they are.
    # package_dir puts it into wheels; the symlink brandon_hf/modeling serves editable installs, mypy and pytest.
    packages=sorted({*find_packages(include=["brandon_hf", "brandon_hf.*"]), "brandon_hf.modeling"}),
    package_dir={"brandon_hf.modeling": "modeling"},
    package_data={
        "brandon_hf": [
            "py.typed",
            "recipes/**/*.yaml",
            "data/*.yaml",
            "metrics/*/*.py",
            "evaluation/prompts/*.yaml",
            "evaluation/templates/*",
            "pipeline/templates/*",
            "pretrained/brandon-*/*",
            "hub/templates/*",
            "runtime/engine/*",
        ]
    },
    ext_modules=[ENGINE_LIBRARY],
    entry_points={"console_scripts": ["brandon = brandon_hf.cli:main"]},
    install_requires=[
        "torch>=2.11",
        "transformers>=5.17",
        "accelerate>=1.10",
        "datasets>=4.7",
        "evaluate>=0.4.3",
        "filelock>=3.15",
        "huggingface_hub>=1.5",
        "jinja2>=3.1.6",  # chat templates
        "matplotlib",
        "numpy",
        "peft>=0.18",
        "pyarrow",
        "pyyaml>=6.0",
        "safetensors>=0.8",
        "tokenizers>=0.23",
        "tqdm",
        "trl>=1.0",
    ],
    extras_require=EXTRAS,
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    zip_safe=False,
)

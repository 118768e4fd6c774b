"""The plots of a report: small SVG pictures with text as text, one panel each, so that a phone shows them legibly."""

import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from brandon_hf.evaluation import plot_style
from brandon_hf.evaluation.plot_style import curve as _curve
from brandon_hf.evaluation.plot_style import x_label as _x_label

if TYPE_CHECKING:
    from .report import Phase

SIZE = (3.8, 2.5)  # inches
STEPS = (1, 2, 2.5, 5, 10)  # between the ticks of an axis
# Colours in the file, and the CSS variable that replaces each in the page, which has a light and a dark side.
COLOURS = {
    "#2a6fd0": "--first",
    "#d9662b": "--second",
    plot_style.MUTED: "--muted",
    plot_style.LINE: "--line",
    plot_style.GROUND: "--card",
}
FIRST, SECOND, *_ = COLOURS
# Title of a panel -> its curves: name in the log -> label.
PANELS: dict[str, dict[str, str]] = {
    "loss": {"loss": "training", "eval_loss": "validation"},
    "divergence from the teacher": {"divergence": "divergence"},
    "cross-entropy": {"cross_entropy": "cross-entropy"},
    "negative log-likelihood": {"nll": "nll"},
    "unlikelihood": {"unlikelihood": "unlikelihood"},
    "entropy": {"entropy": "entropy"},
    "accuracy of tokens": {"mean_token_accuracy": "accuracy"},
    "reward": {"reward": "reward"},
    "preferred answer more likely, share": {"rewards/accuracies": "share"},
    "margin of the preferred answer": {"rewards/margins": "margin"},
    "learning rate": {"learning_rate": "learning rate"},
    "gradient norm": {"grad_norm": "gradient norm"},
}
RC: Any = {  # matplotlib types its keys one by one
    **plot_style.RC,
    "svg.fonttype": "none",  # text stays text: light, sharp, searchable
    "svg.hashsalt": "brandon",  # the same picture from the same log
    "figure.subplot.left": 0.16,  # fixed, so that panels line up and nothing is drawn twice to find out
    "figure.subplot.right": 0.97,
    "figure.subplot.bottom": 0.19,
    "figure.subplot.top": 0.88,
}


@dataclass(frozen=True)
class Plot:
    """A picture: its file's name without ending, what it shows, and its SVG."""

    name: str
    title: str
    svg: str

    @property
    def inline(self) -> Markup:
        """The picture as part of a page: in the page's colours, with names of its own."""
        svg = self.svg[self.svg.index("<svg") :]
        for colour, variable in COLOURS.items():
            svg = svg.replace(colour, f"var({variable})")
        svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{self.name}-", svg)
        svg = re.sub(
            r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', rf'<svg role="img" aria-label="{self.title}" \1>', svg, count=1
        )
        return Markup(svg)  # made here, from numbers and our own labels


def phase_plots(phase: "Phase") -> list[Plot]:
    """A plot for each of `PANELS` that the phase's log has at least two points of."""
    plots = []
    for title, names in PANELS.items():
        curves = {label: curve for name, label in names.items() if (curve := _curve(phase.metrics, name))}
        if not any(len(curve[0]) > 1 for curve in curves.values()):
            continue
        name = f"{phase.key}-{re.sub('[^a-z]+', '-', title)}"
        plots.append(Plot(name, title, _lines(title, _x_label(phase.metrics), curves)))
    return plots


def progress_plot(phases: "Sequence[Phase]") -> Plot | None:
    """Held-out losses after each phase; none before two phases are evaluated."""
    own = [phase for phase in phases if phase.key != "teacher" and phase.after]
    if len(own) < 2:
        return None
    states = [own[0].before, *(phase.after for phase in own)]
    labels = ["start", *(phase.key for phase in own)]
    with rc_context(RC):
        figure = Figure(figsize=SIZE)
        axes = figure.add_subplot(title="held-out loss, nats per token")
        for key, label, colour, marker in (
            ("validation_loss", "text", FIRST, "o"),
            ("chat_loss", "chats", SECOND, "s"),
        ):
            values = [state.get(key, math.nan) for state in states]
            axes.plot(labels, values, color=colour, marker=marker, markersize=5, label=label)
        axes.set_ylim(bottom=0)
        axes.grid(axis="x", visible=False)
        axes.legend(loc="upper right")  # losses fall
        return Plot("progress", "held-out loss after each phase", _svg(figure))


def _lines(title: str, x_label: str, curves: Mapping[str, tuple[list[float], list[float]]]) -> str:
    with rc_context(RC):
        figure = Figure(figsize=SIZE)
        axes = figure.add_subplot(title=title, xlabel=x_label)
        for label, (x, y) in curves.items():
            second = label == "validation"  # lies on the first, which has to stay visible
            axes.plot(
                x,
                y,
                color=SECOND if second else FIRST,
                label=label,
                linewidth=0.8 if second else 1.6,
                marker="o" if len(x) <= 20 or (second and len(x) <= 50) else None,
                markersize=3,
            )
        axes.set_xlim(left=0)
        axes.margins(x=0.02)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=STEPS))
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=STEPS))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        if len(curves) > 1:
            axes.legend(loc="upper right")
        return _svg(figure)


def _svg(figure: Figure) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return file.getvalue()

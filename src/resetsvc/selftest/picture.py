"""The distributions drawn: how often each time came, and by how much the classes differ at each rank.

On white, whatever the page around it: so it reads the same in light and dark.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from resetsvc.selftest.measurement import PLANTED, Result
from resetsvc.selftest.report import TITLES
from resetsvc.selftest.statistics import quantile

# Okabe and Ito's colours, which are told apart by people who see colours otherwise; and each line has a dash of its own.
_LOOKS = {
    "unknown": ("#0072b2", "-"),
    "known": ("#d55e00", "--"),
    "disabled": ("#009e73", "-."),
    PLANTED: ("#777777", ":"),
}
_SHOWN = 0.95  # of the samples: a few slow ones would press all others together
_BINS = 80
_RANKS = [rank / 200 for rank in range(2, 191)]  # from 1 % to 95 %
_CALM = 0.9  # ranks above it are drawn, too, as far as they fit: chance makes them differ most


def draw(results: Sequence[Result], path: Path) -> None:
    """Write the picture; the name's ending says whether SVG or PNG."""
    with rc_context({"svg.hashsalt": "resetsvc", "svg.fonttype": "path", "font.size": 10}):
        layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12, wspace=0.03)
        figure = Figure(figsize=(12, 4.6 * len(results)), dpi=110, layout=layout, facecolor="white")
        rows = figure.subplots(len(results), 2, squeeze=False)
        for result, (left, right) in zip(results, rows, strict=True):
            ordered = {name: sorted(result.samples[name]) for name in _LOOKS if name in result.samples}
            _draw_distributions(left, ordered)
            _draw_differences(right, ordered)
            left.set_title(TITLES[result.name], loc="left", fontsize=11)
            right.set_title(
                f"{result.findings[0].what}: {result.findings[0].verdict.value}", loc="right", fontsize=10
            )
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _draw_distributions(axes: Axes, ordered: Mapping[str, Sequence[float]]) -> None:
    lowest = min(values[0] for values in ordered.values())
    highest = max(quantile(values, _SHOWN) for values in ordered.values())
    edges = [lowest + (highest - lowest) * bin_number / _BINS for bin_number in range(_BINS + 1)]
    for name, values in ordered.items():
        color, dash = _LOOKS[name]
        weights = [100 / len(values)] * len(values)
        axes.hist(
            values,
            edges,
            weights=weights,
            histtype="step",
            color=color,
            linestyle=dash,
            linewidth=1.4,
            label=f"{name} ({len(values):,})",
        )
    axes.set_xlim(lowest, highest)
    axes.set_xlabel(f"microseconds (the slowest {1 - _SHOWN:.0%} are not shown)")
    axes.set_ylabel("samples in %")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.legend(frameon=False)
    axes.grid(color="#e5e5e5")


def _draw_differences(axes: Axes, ordered: Mapping[str, Sequence[float]]) -> None:
    """Each class less the unknown addresses, at the same rank: a line along zero is what should be seen."""
    unknown = ordered["unknown"]
    calm = [0.0]
    for name, values in ordered.items():
        if name == "unknown":
            continue
        color, dash = _LOOKS[name]
        differences = [quantile(values, rank) - quantile(unknown, rank) for rank in _RANKS]
        calm += [each for each, rank in zip(differences, _RANKS, strict=True) if rank <= _CALM]
        ranks = [100 * rank for rank in _RANKS]
        axes.plot(ranks, differences, color=color, linestyle=dash, linewidth=1.6, label=f"{name} - unknown")
    margin = 0.1 * (max(calm) - min(calm)) or 1
    axes.set_ylim(min(calm) - margin, max(calm) + margin)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.axhline(0, color="#0072b2", linewidth=1)
    axes.set_xlabel("rank in % (50: the median)")
    axes.set_ylabel("slower by, in microseconds")
    axes.legend(frameon=False)
    axes.grid(color="#e5e5e5")

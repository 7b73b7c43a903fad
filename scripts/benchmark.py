"""Measure what README says, and write it there: `python scripts/benchmark.py contenders`.

Every measured command runs in a process of its own, as a user would run it. Results are printed as a
table and written as JSON beside this file, under results/; `report` makes README's figures of them. The
reviews are found as `prepare imdb` finds them (LOWMEM_SENTIMENT_IMDB_NPZ, Keras' cache, download). What
this software is compared with comes with the extra `benchmark`. Nothing else should run meanwhile.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from benchmarks import contenders, limits, other_data, phases, report, scaling
from benchmarks.measuring import RESULTS

from lowmem_sentiment.system.errors import LowmemError


def main(arguments: Sequence[str] | None = None) -> None:
    first, _, rest = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(description=first, epilog=rest)
    commands = parser.add_subparsers(metavar="BENCHMARK", required=True)

    def add(name: str, what: str, add_options: Callable[[Any], None], run: Callable[[Any], None]):
        formatter = argparse.ArgumentDefaultsHelpFormatter
        command = commands.add_parser(name, help=what, description=what, formatter_class=formatter)
        add_options(command)
        command.set_defaults(run=run)
        return command

    def add_measuring(name: str, *rest: Any) -> None:
        out = add(name, *rest).add_argument
        out(
            "--out",
            type=Path,
            default=RESULTS / f"{name}.json",
            metavar="FILE",
            help="where the JSON goes",
        )
        out("--directory", type=Path, metavar="DIR", help="for what the runs write; it is removed again")

    add_measuring(
        "contenders",
        "this software and what a user would pick instead, on the same data, in turn",
        contenders.add_options,
        contenders.run,
    )
    add_measuring(
        "limits",
        "prepare and train within ever less memory (memory cgroup; as root)",
        limits.add_options,
        limits.run,
    )
    add_measuring(
        "scaling",
        "time and memory by words, batch size and reviews",
        scaling.add_options,
        scaling.run,
    )
    add_measuring(
        "other-data",
        "accuracy on other people's text, of this software as first typed and of what others document",
        other_data.add_options,
        other_data.run,
    )
    add("phases", "where the time of prepare goes", phases.add_options, phases.run)
    add("report", "write README's figures from the JSON", report.add_options, report.run)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except LowmemError as error:
        print(f"benchmark: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()

"""Measure what README says, and write it there: `python scripts/benchmark.py contenders`.

Every measured command runs in a process of its own, as a user would run it. Results are printed as a
table and written as JSON beside this file, under results/; `report` makes README's figures from them. The
reviews are found as `prepare imdb` finds them (LOWMEM_SENTIMENT_IMDB_NPZ, Keras' cache, download). What
this software is compared with comes with the extra `benchmark`. Nothing else should run meanwhile.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from benchmarks import contenders, limits, other_data, phases, report, scaling
from benchmarks.measuring import RESULTS, circumstances

from lowmem_sentiment.system.errors import LowmemError


def main(arguments: Sequence[str] | None = None) -> None:
    first, _, rest = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(description=first, epilog=rest)
    commands = parser.add_subparsers(metavar="BENCHMARK", required=True)

    def add(name: str, what: str, benchmark: ModuleType) -> argparse.ArgumentParser:
        formatter = argparse.ArgumentDefaultsHelpFormatter
        command = commands.add_parser(name, help=what, description=what, formatter_class=formatter)
        benchmark.add_options(command)
        command.set_defaults(run=benchmark.run)
        return command

    def add_measuring(name: str, what: str, benchmark: ModuleType) -> None:
        def run(options: argparse.Namespace) -> None:
            result = {**circumstances(), **benchmark.run(options)}
            options.out.parent.mkdir(exist_ok=True)
            options.out.write_text(json.dumps(result, indent=1) + "\n")
            if name in report.BLOCKS:
                print(report.text_of(name, result))

        command, out = add(name, what, benchmark), RESULTS / f"{name}.json"
        command.set_defaults(run=run)
        command.add_argument("--out", type=Path, default=out, metavar="FILE", help="where the JSON goes")
        folder = "for what the runs write; it is removed again"
        command.add_argument("--directory", type=Path, metavar="DIR", help=folder)

    ours = "this software and what a user would pick instead, on the same data, in turn"
    add_measuring("contenders", ours, contenders)
    limited = "prepare and train within ever less memory (memory cgroup; as root)"
    add_measuring("limits", limited, limits)
    add_measuring("scaling", "time and memory by words, batch size and reviews", scaling)
    other = "accuracy on other people's text, of this software as first typed and of what others document"
    add_measuring("other-data", other, other_data)
    add("phases", "where the time of prepare goes", phases)
    add("report", "write README's figures from the JSON", report)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except LowmemError as error:
        print(f"benchmark: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()

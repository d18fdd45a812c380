"""`python -m tests.bench [NAME...]`: run benchmarks and print their figures."""

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

from tests.bench import (
    check_sending,
    claim_save,
    deliveries,
    fan_out,
    faults,
    gate,
    get_domain,
    holds,
    hostile,
    ingest,
    latency,
    memory,
    publication,
    sweep,
)
from tests.bench.databases import Databases
from tests.bench.figures import Figure
from tests.bench.scale import FULL, QUICK, Scale

BENCHMARKS: Mapping[str, Callable[[Scale, Databases], Iterator[Figure]]] = {
    "get_domain": get_domain.run,
    "fan_out": fan_out.run,
    "check_sending": check_sending.run,
    "report_deliveries": deliveries.run,
    "ingest": ingest.run,
    "disable": holds.run,
    "claim_save": claim_save.run,
    "sweep": sweep.run,
    "latency": latency.run,
    "memory": memory.run,
    "publication": publication.run,
    "faults": faults.run,
    "hostile": hostile.run,
    "gate": gate.run,
}


def main() -> None:
    """Run the benchmarks that were asked for, all by default."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a benchmark to run; all by default")
    parser.add_argument("--list", action="store_true", help="print the names of all benchmarks")
    parser.add_argument("--quick", action="store_true", help="a smoke run, whose figures mean nothing")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; see --list")
    if asked.list:
        print("\n".join(BENCHMARKS))
        return
    with ExitStack() as stack:
        databases = Databases(stack)
        for name in asked.names or BENCHMARKS:
            for figure in BENCHMARKS[name](QUICK if asked.quick else FULL, databases):
                print(figure, flush=True)


if __name__ == "__main__":
    main()

"""`make bench`: every table, on one server, one after another."""

import sys

from benchmarks import brokers, drift, edge, http, load, refresh


def main() -> int:
    """Run the tables with the same sizes; 1 where a bar is missed."""
    asked = refresh.options(None)
    sizes = [
        f"--rows={asked.rows}",
        f"--workers={asked.workers}",
        f"--days={asked.days}",
    ]
    if asked.dsn:
        sizes.append(f"--dsn={asked.dsn}")
    print("## Loading\n", flush=True)
    missed = load.main(sizes)
    print("\n## Cutting, refreshing, reading\n", flush=True)
    missed |= refresh.main([*sizes, f"--history={asked.history}"])
    print("\n## Events over HTTP\n", flush=True)
    rows = f"--rows={min(asked.rows, 500_000)}"
    server = [f"--dsn={asked.dsn}"] if asked.dsn else []
    missed |= http.main([rows, *server])
    print("\n## The edge agent\n", flush=True)
    missed |= edge.main(server)
    print("\n## Brokers\n", flush=True)
    missed |= brokers.main(server)
    print("\n## Drift\n", flush=True)
    return missed | drift.main(server)


if __name__ == "__main__":
    sys.exit(main())

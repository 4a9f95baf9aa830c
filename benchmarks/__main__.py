"""`python -m benchmarks quality|speed|memory|images|readme`."""

import argparse

from benchmarks import corpora


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    quality = commands.add_parser("quality", help="topics against labels, ours and our peers'")
    quality.add_argument("--on", choices=["report", "choosing", "offline"], default="report")
    quality.add_argument("--seeds", type=int, default=5)
    quality.add_argument("--models", nargs="+", help="default: all of ours and all peers")
    commands.add_parser("speed", help="fit times, one epoch against one product, coherence, import, compilation")
    commands.add_parser("memory", help="growth of the resident set while fitting a matrix of 500 MB")
    commands.add_parser("images", help="orthonormal codebooks: planted bases, photographs, the published rule")
    commands.add_parser("readme", help="write the figures of results/ into README.md")
    arguments = parser.parse_args()

    if arguments.command == "quality":
        from benchmarks.contenders import CONTENDERS
        from benchmarks.quality import run

        cases = {"report": corpora.REPORT, "choosing": corpora.CHOOSING, "offline": corpora.OFFLINE}[arguments.on]
        models = arguments.models or list(CONTENDERS)
        command = f"python -m benchmarks quality --on {arguments.on} --seeds {arguments.seeds}"
        run(cases, models, arguments.seeds, f"quality-{arguments.on}", command)
    elif arguments.command == "speed":
        from benchmarks.speed import run as run_speed

        run_speed()
    elif arguments.command == "memory":
        from benchmarks.memory import run as run_memory

        run_memory()
    elif arguments.command == "images":
        from benchmarks.images import run as run_images

        run_images()
    else:
        from benchmarks.readme import run as write_readme

        write_readme()


if __name__ == "__main__":
    main()

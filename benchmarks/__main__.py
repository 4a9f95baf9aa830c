"""`python -m benchmarks quality|speed|memory|images|zoo|retrieval|embeddings|readme`."""

import argparse

from benchmarks import corpora
from benchmarks.engines import ENGINES
from benchmarks.models import MODELS

MODEL_NAMES, ENGINE_NAMES = list(MODELS), list(ENGINES)
RETRIEVAL = ("quality", "speed", "large", "words", "images", "mnist")
EMBEDDINGS = ("geometry", "heads", "topics")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    quality = commands.add_parser("quality", help="topic models of this and of other packages against labels")
    quality.add_argument("--on", choices=["report", "choosing", "offline"], default="report")
    quality.add_argument("--seeds", type=int, default=5)
    quality.add_argument(
        "--models",
        nargs="+",
        choices=MODEL_NAMES,
        metavar="MODEL",
        help=f"any of: {', '.join(MODEL_NAMES)}; default: all of them",
    )
    speed = commands.add_parser(
        "speed", help="fit times, one epoch against one product, coherence, import, compilation"
    )
    speed.add_argument(
        "--device", choices=["cpu", "gpu"], default="cpu", help="gpu: compared with the CPU of the same machine"
    )
    commands.add_parser("memory", help="growth of the resident set during a fit of a matrix of 500 MB")
    commands.add_parser("images", help="orthonormal dictionaries: planted bases and photographs")
    zoo = commands.add_parser("zoo", help="defaults on many kinds of data with known groups, compared with KMeans")
    zoo.add_argument("--seeds", type=int, default=3)
    zoo.add_argument("--size", type=float, default=1.0, help="number of rows, relative to the stored results")
    zoo.add_argument(
        "--sets", nargs="+", default=[], help="generators of tests/zoo.py; default: all; results are written only then"
    )
    retrieval = commands.add_parser(
        "retrieval", help="search compared with BM25 and others, and recall of an associative memory"
    )
    retrieval.add_argument("--part", nargs="+", choices=RETRIEVAL, default=list(RETRIEVAL), help="default: all")
    retrieval.add_argument("--on", choices=["report", "choosing"], default="report", help="collections of `quality`")
    retrieval.add_argument(
        "--engines",
        nargs="+",
        choices=ENGINE_NAMES,
        metavar="ENGINE",
        help=f"of `quality`, any of: {', '.join(ENGINE_NAMES)}",
    )
    embeddings = commands.add_parser(
        "embeddings", help="sentence embeddings: whitening, heads from known groups, topics"
    )
    embeddings.add_argument("--part", nargs="+", choices=EMBEDDINGS, default=list(EMBEDDINGS), help="default: all")
    commands.add_parser("readme", help="write the figures of results/ into README.md and benchmarks/RESULTS.md")
    arguments = parser.parse_args()

    if arguments.command == "quality":
        from benchmarks.quality import run

        cases = {"report": corpora.REPORT, "choosing": corpora.CHOOSING, "offline": corpora.OFFLINE}[arguments.on]
        models = arguments.models or MODEL_NAMES
        command = f"python -m benchmarks quality --on {arguments.on} --seeds {arguments.seeds}"
        run(cases, models, arguments.seeds, f"quality-{arguments.on}", command)
    elif arguments.command == "speed":
        if arguments.device == "gpu":
            from benchmarks.speed_gpu import run as run_speed
        else:
            from benchmarks.speed import run as run_speed
        run_speed()
    elif arguments.command == "memory":
        from benchmarks.memory import run as run_memory

        run_memory()
    elif arguments.command == "images":
        from benchmarks.images import run as run_images

        run_images()
    elif arguments.command == "zoo":
        from benchmarks.zoo import run as run_zoo

        run_zoo(arguments.seeds, arguments.size, arguments.sets)
    elif arguments.command == "retrieval":
        for part in arguments.part:
            run_retrieval(part, arguments.on, arguments.engines)
    elif arguments.command == "embeddings":
        for part in arguments.part:
            run_embeddings(part)
    else:
        from benchmarks.readme import run as write_readme

        write_readme()


def run_retrieval(part: str, on: str, engines: list[str] | None) -> None:
    """Run one part of the benchmark of retrieval."""
    if part == "quality":
        from benchmarks import retrieval

        retrieval.run(on, engines or ENGINE_NAMES)
    elif part == "speed":
        from benchmarks import search_throughput

        search_throughput.run()
    elif part in ("words", "images"):
        from benchmarks import associative_memory

        (associative_memory.run_words if part == "words" else associative_memory.run_images)()
    else:
        from benchmarks import search_scale

        (search_scale.run_large if part == "large" else search_scale.run_mnist)()


def run_embeddings(part: str) -> None:
    """Run one part of the benchmark of embeddings."""
    if part == "geometry":
        from benchmarks import geometry

        geometry.run()
    elif part == "heads":
        from benchmarks import heads

        heads.run()
    else:
        from benchmarks import embedding_topics

        embedding_topics.run()


if __name__ == "__main__":
    main()

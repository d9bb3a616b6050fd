"""The command line: ``mult --help``. Heavy imports wait until a command needs them."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mult.errors import UserError

SCALES = ("smoke", "laptop", "gpu", "paper")  # those of mult.params, which is slow to import
DOMAINS = ("rooms-home", "rooms-loft", "rooms-kinect", "doom", "taskonomy", "replica", "nyuv2", "cocodoom")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a user's mistake becomes one line on stderr and exit code 1."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    try:
        sys.exit(chosen.run(chosen))
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {error.filename or ''}: {error.strerror or error}".replace("error: : ", "error: "))
    except KeyboardInterrupt:
        sys.exit("error: interrupted; what was finished is kept, the same command goes on from there")
    except Exception as error:
        from mult.failures import told  # late, as all that a good command does not need

        if (line := told(error)) is None:
            raise
        sys.exit(f"error: {line}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mult", description="Multitask learning for dense vision.", epilog="example: mult repro --scale smoke"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run, text: str, example: str, group=commands) -> argparse.ArgumentParser:
        sub = group.add_parser(name, help=text, description=text, epilog=f"example: {example}")
        sub.set_defaults(run=run)
        return sub

    def family(name: str, text: str, example: str):
        sub = commands.add_parser(name, help=text, description=text, epilog=f"example: {example}")
        return sub.add_subparsers(required=True, metavar="COMMAND")

    params = command("params", _params, "Check a params file and print the chosen scale's settings.", "mult params")
    params.add_argument("file", nargs="?", default="params.yaml", help="default: params.yaml")

    repro = command(
        "repro",
        _repro,
        "Bring every stage up to date, side by side on this machine or on a Ray cluster.",
        "mult repro --scale smoke; mult repro --ray auto",
    )
    repro.add_argument("--scale", choices=SCALES, help="default: what params.yaml says")
    repro.add_argument("targets", nargs="*", metavar="STAGE", help="these and what they need; default: every stage")
    repro.add_argument("--minutes", type=float, help="pause after so many; the same command then goes on")
    repro.add_argument("--jobs", type=int, help="stages at a time; default: one a core, or one a GPU")
    repro.add_argument(
        "--ray", metavar="ADDRESS", help="run on this Ray cluster; auto: the one that this machine is in"
    )

    verify = command(
        "verify",
        _verify,
        "Read everything that results rest on: what dvc.lock lists, DVC's cache, prepared data, models, checkpoints. "
        "Prints a line for each damaged file with the command that mends it; exit code 1 where there is any.",
        "mult verify --files",
    )
    verify.add_argument("--files", action="store_true", help="compare the files of data sets in place with their index")

    annotate = command(
        "annotate",
        _annotate,
        "Make labels in Taskonomy's encoding for a picture: keypoints and edges always, the other depth, normals and "
        "reshading where a depth is given. At other widths than 512 pixels keypoints and edges are computed at 512 and "
        "resized.",
        "mult annotate --rgb view.png --depth-zbuffer depth.png --fov-deg 61 --out labels",
    )
    annotate.add_argument("--rgb", type=Path, required=True, help="the picture, 8 bits")
    annotate.add_argument("--depth-zbuffer", type=Path, metavar="PNG", help="16 bits, 1/512 m, along the optical axis")
    annotate.add_argument(
        "--depth-euclidean", type=Path, metavar="PNG", help="16 bits, 1/512 m, from the camera's centre"
    )
    annotate.add_argument("--normal", type=Path, metavar="PNG", help="8 bits; taken instead of normals from the depth")
    annotate.add_argument("--fov-deg", type=float, metavar="F", help="horizontal field of view in degrees")
    annotate.add_argument("--edge-sigma", type=float, default=3.0, help="pixels at 512 wide; default: 3")
    annotate.add_argument("--out", type=Path, required=True, help="folder for <domain>.png")

    predict = command(
        "predict",
        _predict,
        "Predict the maps of a trained run's tasks for any photos. Each photo gets a folder of its own, named after "
        "it, with a map a task in Taskonomy's encoding, and panel.png, where all of them are side by side.",
        "mult predict kitchen.jpg holiday/ more.txt --run mult-shared-s0 --out maps",
    )
    predict.add_argument(
        "images", nargs="+", type=Path, metavar="IMAGE", help="a photo, a folder of them, or a .txt with a path a line"
    )
    predict.add_argument(
        "--run", dest="name", required=True, metavar="RUN", help="such as mult-shared-s0, or a folder with model.json"
    )
    predict.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for <photo>/<domain>.png")
    predict.add_argument(
        "--size", type=int, help="pixels to which a photo's shorter side is resized; default: that of training"
    )

    export = command(
        "export",
        _export,
        "Write a trained run as a file that other programs run; the outputs are compared with PyTorch's first.",
        "mult export --run mult-shared-s0 --format onnx",
    )
    export.add_argument("--run", dest="name", required=True, metavar="RUN", help="such as mult-shared-s0")
    export.add_argument("--format", choices=("onnx",), default="onnx")
    export.add_argument("--out", type=Path, metavar="FILE", help="default: exports/RUN.onnx")
    export.add_argument("--size", type=int, help="pixels of the square image; default: that of training")

    group = command(
        "group",
        _group,
        "Choose, from a table of the losses of trained networks, those to run within a budget, so that the tasks' "
        "losses add up to the least. A row of the table is a network, its first column the names; other columns are "
        "tasks, empty where a network lacks one, and may be `cost`, else 1 each.",
        "mult group losses.csv --budget 1 2 3 --relative",
    )
    group.add_argument("table", type=Path, metavar="TABLE.csv")
    group.add_argument("--budget", type=float, nargs="+", required=True, metavar="B", help="of the networks' costs")
    group.add_argument(
        "--relative", action="store_true", help="losses in percent of the one-task network's, so that tasks weigh alike"
    )

    data = family(
        "data",
        "Check, show, export and pack prepared domains and data sets in place.",
        "mult data check taskonomy /data/tasko",
    )
    check = command(
        "check",
        _data_check,
        "Look for damaged, missing and mistaken files in a domain, and for buildings in two splits. Prints counts and "
        "every kind of fault with the first few files and the mend; exit code 1 where there is any.",
        "mult data check taskonomy /data/tasko --partition tiny --images 2000",
        data,
    )
    _add_domain(check)
    check.add_argument(
        "--images",
        type=int,
        metavar="N",
        help="open so many, evenly spread; default: all, and the digests of packed shards",
    )
    check.add_argument(
        "--against",
        nargs=2,
        action="append",
        default=[],
        metavar=("DOMAIN", "ROOT"),
        help="no building may be in another split there; may be given several times",
    )
    show = command(
        "show",
        _data_show,
        "Draw a contact sheet of a domain's pictures and labels; grey is what a domain lacks.",
        "mult data show rooms-home data/rooms-home -o grid.png",
        data,
    )
    _add_domain(show)
    show.add_argument("-o", "--out", type=Path, required=True, help="a .png or .jpg file")
    show.add_argument("--images", type=int, default=24, help="default: 24")
    show.add_argument(
        "--split", choices=("train", "val", "test"), help="default: test for prepared data, all for a data set in place"
    )
    export_data = command(
        "export",
        _data_export,
        "Write a domain in Taskonomy's layout and encoding, OUT/<kind>/<building>/point_<P>_view_<V>_domain_<kind>.png "
        "with splits.csv and classes.json: `mult data check taskonomy OUT` reads it. Interrupted, the same command "
        "goes on.",
        "mult data export rooms-home data/rooms-home exported",
        data,
    )
    _add_domain(export_data)
    export_data.add_argument("out", type=Path, metavar="OUT", help="a folder that is empty or not there yet")
    export_data.add_argument(
        "--size", type=int, metavar="N", help="middle squares, resized to so many pixels; default: pictures as they are"
    )

    pack = command(
        "pack",
        _data_pack,
        "Write the squares of a domain that training reads into shards, OUT/shards/<split>-<number>/<label>.npy, which "
        "are read faster than pictures. OUT is then one more layout of the domain: name it as `root` in "
        "params.yaml. Interrupted, the same command goes on.",
        "mult data pack taskonomy /data/tasko /data/tasko-224 --partition tiny --size 224",
        data,
    )
    _add_domain(pack)
    pack.add_argument("out", type=Path, metavar="OUT", help="a folder that is empty or not there yet")
    pack.add_argument("--size", type=int, metavar="N", help="pixels; default: image_size of params.yaml's scale")

    track = family("track", "What MLflow has not been told, because it did not answer.", "mult track sync")
    command("status", _track_status, "Say what waits for MLflow.", "mult track status", track)
    sync = command(
        "sync",
        _track_sync,
        "Send MLflow what waits, each run to the store that it was meant for. Killed, it is run again: nothing is sent "
        "twice.",
        "mult track sync",
        track,
    )
    sync.add_argument("--to", metavar="URI", help="send it to this store instead")

    bench = family("bench", "Measure speed here.", "mult bench train --scale laptop")
    domains = command(
        "domains",
        _bench_domains,
        "Milliseconds an image and a core for every domain that renders itself.",
        "mult bench domains --size 128",
        bench,
    )
    domains.add_argument("--size", type=int, default=128, help="pixels; default: 128")
    domains.add_argument("--images", type=int, default=32, help="n: n, 2 n and 3 n images are timed; default: 32")

    model = command(
        "model",
        _bench_model,
        "Training step, inference and memory of each variant, against a plain loop over the tasks.",
        "mult bench model --variants self skip shared; mult bench model --scale gpu --batch 4 --precision float32",
        bench,
    )
    model.add_argument("--scale", choices=SCALES, help="default: what params.yaml says")
    model.add_argument("--variants", nargs="+", default=["self", "skip", "shared"], metavar="NAME")
    model.add_argument("--rounds", type=int, default=9, help="each model once a round; default: 9")
    model.add_argument("--batch", type=int, help="images; default: the scale's")
    model.add_argument("--precision", choices=("float32", "bfloat16"), help="default: the scale's")
    model.add_argument("--compile", action="store_true", help="torch.compile, for GPUs")

    train = command(
        "train",
        _bench_train,
        "Training steps: time waiting for data, memory, checkpoints, parts, two processes, each against the plain one.",
        "mult bench train --scale laptop",
        bench,
    )
    train.add_argument("--scale", choices=SCALES, help="default: what params.yaml says")
    train.add_argument("--steps", type=int, default=10, help="that are timed in a turn; default: 10")
    train.add_argument("--rounds", type=int, default=3, help="turns; default: 3")

    reading = command(
        "data",
        _bench_data,
        "Images a second from the store and from packed shards, against the same images as PNG files in place.",
        "mult bench data --size 256",
        bench,
    )
    reading.add_argument("--size", type=int, default=256, help="pixels; default: 256")
    reading.add_argument("--images", type=int, default=48, help="default: 48")
    reading.add_argument("--batch", type=int, default=16)
    reading.add_argument("--rounds", type=int, default=5, help="turns; default: 5")

    pipeline = command(
        "pipeline",
        _bench_pipeline,
        "Stages side by side against one after the other, and what a stage costs beside its work.",
        "mult bench pipeline",
        bench,
    )
    pipeline.add_argument("--steps", type=int, default=200, help="of each training; default: 200")

    command(
        "memory",
        _bench_memory,
        "Most memory of each kind of stage, with more images, and with a larger model.",
        "mult bench memory",
        bench,
    )

    ui = command("ui", _ui, "Open MLflow's UI on this machine.", "mult ui --port 5000")
    ui.add_argument("--port", type=int, default=5000, help="default: 5000")
    return parser


def _add_domain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domain", metavar="DOMAIN", help=", ".join(DOMAINS))
    parser.add_argument("root", type=Path, metavar="ROOT", help="folder of prepared data, or of the data set itself")
    parser.add_argument("--partition", metavar="NAME", help="of a data set in place, such as tiny; or a .csv file")


def _at_least_one(chosen: argparse.Namespace, *options: str) -> None:
    for option in options:
        value = getattr(chosen, option)
        if value is not None and value < 1:
            raise UserError(f"--{option}: {value} is below 1")


def _params(chosen: argparse.Namespace) -> None:
    import yaml

    from mult.params import load

    settings = load(chosen.file).model_dump(exclude={"scales"}, exclude_none=True)
    print(yaml.safe_dump(settings, sort_keys=False, width=120), end="")


def _repro(chosen: argparse.Namespace) -> int:
    from mult.repro import repro

    _at_least_one(chosen, "jobs")
    if chosen.minutes is not None and not chosen.minutes > 0:
        raise UserError(f"--minutes: {chosen.minutes} is not above 0")
    if chosen.minutes is not None and chosen.ray:
        raise UserError("--minutes: a cluster has its own time limits; leave out --minutes or --ray")
    return repro(chosen.jobs, chosen.scale, chosen.ray, chosen.targets, chosen.minutes)


def _verify(chosen: argparse.Namespace) -> int:
    from mult.verify import Verification

    verification = Verification()
    for fault in verification.faults(chosen.files):
        print(fault, flush=True)
    print(verification.summary())
    return 1 if verification.damaged else 0


def _annotate(chosen: argparse.Namespace) -> None:
    from mult.annotate import Sources, annotate_files

    sources = Sources(chosen.rgb, chosen.depth_zbuffer, chosen.depth_euclidean, chosen.normal, chosen.fov_deg)
    written, said = annotate_files(sources, chosen.edge_sigma, chosen.out)
    print("\n".join(map(str, written)))
    for line in said:
        print(line, file=sys.stderr)


def _predict(chosen: argparse.Namespace) -> None:
    if sys.stderr.isatty():  # PyTorch alone takes seconds, on a busy machine many
        print(f"loading PyTorch and {chosen.name} ...", file=sys.stderr, flush=True)
    from mult.predict import predict_files

    _at_least_one(chosen, "size")
    outcome = predict_files(chosen.images, chosen.name, chosen.out, chosen.size)
    for photo, folder in outcome.folders.items():
        print(f"{photo}: {folder}")
    errors, photos = outcome.errors, len(outcome.errors) + len(outcome.folders)
    if photos == 1 and errors:
        raise errors[0]
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    if errors:
        raise UserError(f"{len(errors)} of {photos} photos could not be read")


def _export(chosen: argparse.Namespace) -> None:
    from mult.export import export_onnx
    from mult.paths import one_name

    folder = Path("runs") / one_name(chosen.name, "--run")
    report = export_onnx(folder, chosen.out or Path("exports") / f"{chosen.name}.onnx", chosen.size)
    print("\n".join(report.lines()))


def _group(chosen: argparse.Namespace) -> None:
    from mult.evaluation.grouping import select
    from mult.evaluation.subsets import read_table, relative_to_single

    table, costs = read_table(chosen.table)
    if chosen.relative:
        table = relative_to_single(table)
    for budget in chosen.budget:
        best = select(table, costs, budget)
        print(f"budget {budget:g}: losses add up to {best.total:.6g}, networks cost {best.cost:g}")
        for network in best.networks:
            served = (f"{t} {best.losses[t]:.6g}" for t, name in best.serves.items() if name == network)
            print(f"  {network}: {', '.join(served)}")


def _data_check(chosen: argparse.Namespace) -> int:
    from mult.data.check import check, lines
    from mult.data.sources import open_data

    _at_least_one(chosen, "images")
    source = open_data(chosen.domain, chosen.root, chosen.partition)
    others = [open_data(domain, root) for domain, root in chosen.against]
    report = check(source, chosen.images, others)
    print("\n".join(lines(report)))
    return 1 if len(report.tally) else 0


def _data_show(chosen: argparse.Namespace) -> None:
    from mult.data.lazy import open_some
    from mult.data.sources import open_data
    from mult.reports.sheet import contact_sheet, write_picture

    _at_least_one(chosen, "images")
    source = open_data(chosen.domain, chosen.root, chosen.partition)
    split, total = open_some(source, chosen.images, chosen.split)
    write_picture(chosen.out, contact_sheet(split, chosen.images, of=total))
    print(chosen.out)


def _data_export(chosen: argparse.Namespace) -> None:
    from mult.data.export import export
    from mult.data.sources import open_data

    _at_least_one(chosen, "size")
    number = export(open_data(chosen.domain, chosen.root, chosen.partition), chosen.out, chosen.size)
    print(f"{chosen.out}: {number} images; `mult data check taskonomy {chosen.out}` looks through them")


def _data_pack(chosen: argparse.Namespace) -> None:
    from mult.data.pack import pack
    from mult.data.sources import open_data
    from mult.params import load

    _at_least_one(chosen, "size")
    source = open_data(chosen.domain, chosen.root, chosen.partition)
    number = pack(source, chosen.out, chosen.size or load().scale.image_size)
    print(f"{chosen.out}: {number} images; set `root: {chosen.out}` of {chosen.domain} in params.yaml")


def _bench_domains(chosen: argparse.Namespace) -> None:
    from mult.bench.domains import bench

    _at_least_one(chosen, "size", "images")
    bench(chosen.size, chosen.images)


def _bench_train(chosen: argparse.Namespace) -> None:
    from mult.bench.train import bench
    from mult.params import load

    _at_least_one(chosen, "steps", "rounds")
    bench(load(scale=chosen.scale), chosen.steps, chosen.rounds)


def _bench_memory(chosen: argparse.Namespace) -> None:
    from mult.bench.memory import bench

    bench()


def _bench_pipeline(chosen: argparse.Namespace) -> None:
    from mult.bench.pipeline import bench

    _at_least_one(chosen, "steps")
    bench(chosen.steps)


def _bench_data(chosen: argparse.Namespace) -> None:
    from mult.bench.data import bench

    _at_least_one(chosen, "size", "images", "batch", "rounds")
    bench(chosen.size, chosen.images, chosen.batch, chosen.rounds)


def _bench_model(chosen: argparse.Namespace) -> None:
    from typing import get_args

    from mult import params
    from mult.bench.model import bench

    settings = params.load(scale=chosen.scale)
    if unknown := [name for name in chosen.variants if name not in get_args(params.Attention)]:
        raise UserError(f"--variants: {unknown[0]!r} is none of {', '.join(get_args(params.Attention))}")
    _at_least_one(chosen, "rounds", "batch")
    bench(settings, chosen.variants, chosen.rounds, chosen.batch, chosen.precision, chosen.compile)


def _track_status(chosen: argparse.Namespace) -> None:
    from mult.tracking.sync import status

    status()


def _track_sync(chosen: argparse.Namespace) -> None:
    from mult.tracking.sync import sync

    sync(chosen.to)


def _ui(chosen: argparse.Namespace) -> int:
    from mult.ui import serve

    return serve(chosen.port)

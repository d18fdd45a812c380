"""The contract in `protos/`: make its Python stubs, prove them fresh, check its style and its history.

Run from anywhere as `python tools/contract.py COMMAND`. Nothing is fetched: protoc comes
with grpcio-tools, buf with buf-bin, Google's own protos with googleapis-common-protos.
"""

import argparse
import filecmp
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
STUBS = ROOT / "clients" / "python"
LANDED = PROTOS / "contract.binpb"
"""The last landed contract as a descriptor set: what `breaking` compares with."""
SCRIPTS = Path(sysconfig.get_path("scripts"))
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


def package_folder(package: str) -> Path:
    """Return the folder of an installed package."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        sys.exit(f"contract: the package {package} is not installed; run `make setup`")
    return Path(next(iter(spec.submodule_search_locations)))


def protoc(*arguments: str) -> None:
    """Run protoc on every proto of the contract; exit with its error."""
    google = package_folder("google.api").parent.parent
    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"--proto_path={PROTOS}",
        f"--proto_path={google}",
        f"--plugin=protoc-gen-mypy={SCRIPTS / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={SCRIPTS / 'protoc-gen-mypy_grpc'}",
        *arguments,
        *sources,
    ]
    run(command)


def run(command: Sequence[str]) -> None:
    """Run a program in the repository's root; exit with its status if it fails."""
    finished = subprocess.run(command, cwd=ROOT, check=False)  # noqa: S603 - our own fixed commands
    if finished.returncode != 0:
        sys.exit(finished.returncode)


def write_stubs(target: Path) -> None:
    """Generate the Python stubs below `target`."""
    protoc(
        f"--python_out={target}",
        f"--grpc_python_out={target}",
        f"--mypy_out=quiet:{target}",
        f"--mypy_grpc_out=quiet:{target}",
    )


def stubs_below(folder: Path) -> set[Path]:
    """Return the paths of all generated files below `folder`, relative to it."""
    return {path.relative_to(folder) for pattern in GENERATED for path in folder.rglob(pattern)}


def generate() -> None:
    """Bring the committed stubs up to date, and drop those without a proto."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        write_stubs(fresh)
        wanted = stubs_below(fresh)
        for stale in stubs_below(STUBS) - wanted:
            (STUBS / stale).unlink()
        for stub in wanted:
            (STUBS / stub).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(fresh / stub, STUBS / stub)


def check() -> None:
    """Fail unless the committed stubs are exactly what the protos give."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        write_stubs(fresh)
        wanted, present = stubs_below(fresh), stubs_below(STUBS)
        stale = sorted(
            path
            for path in wanted | present
            if path not in wanted
            or path not in present
            or not filecmp.cmp(fresh / path, STUBS / path, shallow=False)
        )
    if stale:
        names = "\n".join(f"  {STUBS.relative_to(ROOT) / path}" for path in stale)
        sys.exit(f"contract: stubs differ from protos/; run `make proto` and commit:\n{names}")


def write_image(target: Path) -> None:
    """Write the contract as a descriptor set with its imports and comments."""
    protoc(f"--descriptor_set_out={target}", "--include_imports", "--include_source_info")


def lint() -> None:
    """Check the contract's style with buf, by the rules in buf.yaml."""
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch) / "contract.binpb"
        write_image(image)
        run([str(SCRIPTS / "buf"), "lint", str(image), "--config", "buf.yaml"])


def breaking() -> None:
    """Fail where the contract breaks clients of the last landed one."""
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch) / "contract.binpb"
        write_image(image)
        buf = str(SCRIPTS / "buf")
        run([buf, "breaking", str(image), "--against", str(LANDED), "--config", "buf.yaml"])


def accept() -> None:
    """Make the present contract the landed one."""
    write_image(LANDED)


COMMANDS: dict[str, Callable[[], None]] = {
    command.__name__: command for command in (generate, check, lint, breaking, accept)
}


def main() -> None:
    """Run the command named on the command line."""
    parser = argparse.ArgumentParser(description="Work on the contract in protos/.")
    parser.add_argument("command", choices=COMMANDS)
    COMMANDS[parser.parse_args().command]()


if __name__ == "__main__":
    main()

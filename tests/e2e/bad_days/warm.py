"""A process with everything imported that forks a child for every command line it is sent: the `main` of the
executable, without the seconds that importing torch takes. Requests and answers are lines of JSON.
"""

import gc
import importlib
import json
import os
import pkgutil
import resource
import sys


def serve() -> None:
    import torch

    import benchmark_core

    for name in ("board", "cli", "plan", "run", "store", "suite"):
        for module in pkgutil.walk_packages(
            [f"{benchmark_core.__path__[0]}/{name}"], f"benchmark_core.{name}."
        ):
            importlib.import_module(module.name)
    for name in ("scipy.special", "jinja2", "pydantic.main", "encodings.idna"):
        importlib.import_module(name)
    torch.set_num_threads(1)
    gc.freeze()  # a child that collects does not copy all of this
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        else:
            answer = os.fork()
            if not answer:
                become(request)
        print(json.dumps(answer), flush=True)


def become(request: dict) -> None:
    """Run a command line as a process group of its own, and end as the executable does."""
    from benchmark_core.cli.main import main

    os.setpgid(0, 0)
    os.chdir(request["cwd"])
    os.environ.update(request["env"])
    for number, path in ((0, os.devnull), (1, request["out"]), (2, request["err"])):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND), number)
    if request["file_size"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_size"], request["file_size"]))
    sys.exit(main(request["arguments"]))


if __name__ == "__main__":
    serve()

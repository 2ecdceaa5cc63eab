"""Stands in for SLURM's commands: sbatch, squeue and scancel that run jobs on this machine.

Installed into a folder that goes first on PATH. Only what the executor uses is there; that it is
used rightly is what the tests with a real SLURM show.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

_PROGRAM = '''\
#!{python} -S
"""A stand-in for {name}."""
import json, os, pathlib, re, signal, subprocess, sys, time

JOBS = pathlib.Path({jobs!r})

def sbatch(arguments):
    options = dict(a.lstrip("-").partition("=")[::2] for a in arguments)
    if options.get("partition") == "nope":
        sys.exit("sbatch: error: invalid partition specified: " + options["partition"])
    script = sys.stdin.read()
    number = len(list(JOBS.iterdir())) + 1
    folder = JOBS / str(number)
    folder.mkdir()
    (folder / "name").write_text(options["job-name"])
    (folder / "arguments").write_text(json.dumps(arguments))
    first, last = map(int, options["array"].split("-"))
    for place in range(first, last + 1):
        # A child of its own writes how the script ended, as a node of the cluster would.
        if os.fork() == 0:
            os.setsid()
            null = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(null, stream)
            environment = dict(os.environ, SLURM_ARRAY_TASK_ID=str(place))
            job = subprocess.Popen(
                ["/bin/sh"], stdin=subprocess.PIPE, env=environment, cwd=options["chdir"]
            )
            (folder / ("pid-%d" % place)).write_text(str(job.pid))
            job.communicate(script.encode())
            code = job.returncode
            status = -code if code < 0 else code << 8
            if not (folder / ("end-%d" % place)).exists():
                end(folder, place, "FAILED" if code else "COMPLETED", status)
            os._exit(0)
    for place in range(first, last + 1):
        while not (folder / ("pid-%d" % place)).exists():
            time.sleep(0.01)
    print(number)

def end(folder, place, state, status):
    temporary = folder / ("tmp-%d-%d" % (place, os.getpid()))
    temporary.write_text("%s|%d" % (state, status))
    os.replace(temporary, folder / ("end-%d" % place))

def places(folder):
    return [int(path.name[4:]) for path in sorted(folder.glob("pid-*"))]

def squeue(arguments):
    number = next(a.partition("=")[2] for a in arguments if a.startswith("--jobs="))
    folder = JOBS / number
    if not folder.is_dir():
        sys.exit("slurm_load_jobs error: Invalid job id specified")
    for place in places(folder):
        ended = folder / ("end-%d" % place)
        state = ended.read_text() if ended.exists() else "RUNNING|0"
        print("%d|%s|here|" % (place, state))

def scancel(arguments):
    (which,) = arguments
    for folder in JOBS.iterdir():
        if which in (folder.name, "--name=" + (folder / "name").read_text()):
            for place in places(folder):
                if not (folder / ("end-%d" % place)).exists():
                    end(folder, place, "CANCELLED", signal.SIGTERM)
                    try:
                        os.kill(int((folder / ("pid-%d" % place)).read_text()), signal.SIGTERM)
                    except ProcessLookupError:
                        pass

{name}(sys.argv[1:])
'''


def install(folder: Path) -> Path:
    """Write the commands into a folder; return it."""
    commands, jobs = folder / "bin", folder / "jobs"
    commands.mkdir(parents=True)
    jobs.mkdir()
    for name in ("sbatch", "squeue", "scancel"):
        program = commands / name
        text = _PROGRAM.format(python=sys.executable, name=name, jobs=str(jobs))
        program.write_text(text, encoding="utf-8")
        program.chmod(0o755)
    return commands


def stop_job(job: Path, place: int, state: str) -> None:
    """End a job of an array as the cluster might.

    Args:
        job: Folder of the array.
        place: The job's place in it.
        state: SLURM's word for why, such as "TIMEOUT".
    """
    (job / f"end-{place}").write_text(f"{state}|{signal.SIGTERM.value}", encoding="utf-8")
    os.kill(int((job / f"pid-{place}").read_text()), signal.SIGTERM)

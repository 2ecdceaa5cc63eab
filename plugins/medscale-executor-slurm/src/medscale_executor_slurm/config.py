"""Options of `slurm`."""

from __future__ import annotations

import shlex

from pydantic import Field, field_validator

from medscale.config import Options


class SlurmOptions(Options):
    """What each worker's job asks the cluster for.

    What is not set is the cluster's own default, or that of sbatch's environment variables
    (SBATCH_PARTITION, SBATCH_ACCOUNT and so on).
    """

    partition: str = Field(default="", description="partition, or several with commas")
    account: str = Field(default="", description="account that is charged")
    time: str = Field(
        default="", description='time limit of a job, as sbatch takes it ("04:00:00", "1-12", "90")'
    )
    memory: str = Field(default="", description='memory of a job, as sbatch takes it ("16G")')
    gpus: int = Field(default=0, ge=0, le=1, description="GPUs of a job; a worker uses one at most")
    extra: str = Field(
        default="",
        description='further options of sbatch, as in a shell ("--qos=long --constraint=a100")',
    )
    poll: float = Field(
        default=5.0, gt=0, le=60, description="seconds between two questions to the cluster"
    )

    @field_validator("extra")
    @classmethod
    def _splits(cls, text: str) -> str:
        try:
            shlex.split(text)
        except ValueError as error:
            raise ValueError(f"got {text!r}, whose quotes do not match ({error})") from None
        return text

"""The contracts between medscale and its plugins.

A plugin needs no base class. It is constructed as `Class(config, context)`, where `config` is
its own validated pydantic model, and has the methods of its protocol. Optional powers are the
small `Supports…` protocols at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from medscale.data.cases import Case, Sample, Task
    from medscale.fields.interpolation import Spline
    from medscale.fields.registration import PairRegistration
    from medscale.study.context import Outcome, TrialContext


def _silent(message: str) -> None:
    """Drop a message."""


def _unseen(what: str, share: float) -> None:
    """Drop progress."""


@dataclass(frozen=True, kw_only=True)
class UsedPlugin:
    """A plugin that another one's option names (`medscale.config.plugin_option`).

    Attributes:
        plugin: The instance, constructed with its own options.
        identity: JSON of all that can change its results, for content-addressed caches.
    """

    plugin: Any
    identity: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class PluginContext:
    """What core hands to every plugin that it constructs.

    Attributes:
        device: Where tensors live, as torch spells it ("cpu", "cuda", "cuda:1").
        data: For a data set, the folder to read; None where it needs none.
        cache: A folder for what the plugin learns or derives; content-addressed entries only.
        log: Takes one line for the person who is watching.
        progress: Told what a plugin is preparing ("registration") and the done share of it, by
            whatever takes more than two seconds.
        uses: The plugins that options of this one name, by option.
    """

    device: str = "cpu"
    data: Path | None = None
    cache: Path = field(default_factory=lambda: Path(".medscale-cache"))
    log: Callable[[str], None] = _silent
    progress: Callable[[str, float], None] = _unseen
    uses: Mapping[str, UsedPlugin] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """Images and masks that travel through augmentation together.

    Attributes:
        images: (B, C, *S) float32 in [0, 1].
        masks: (B, 1, *S) float32, 0 or 1.
        indices: (B,) int64, each image's row in the prepared cohort, so that an augmenter can
            find what it learned about that image.
    """

    images: Tensor
    masks: Tensor
    indices: Tensor

    def replace(self, *, images: Tensor, masks: Tensor) -> Batch:
        """Return the batch with other pixels for the same cases."""
        return replace(self, images=images, masks=masks)


@dataclass(frozen=True, kw_only=True)
class PoolView:
    """What an augmenter may learn from: never a pixel of validation or test.

    Attributes:
        take: Returns the images (K, C, *S) float32 at some positions of the pool (training subset
            and external images). Nothing is copied before it is asked for.
        indices: (N,) the cohort rows of the pool.
        names: The N cases, for messages.
        subset: Positions in the pool of the annotated training subset.
        masks: (len(subset), 1, *S) float32, labels of the training subset only. Labels of
            external images are never handed out.
        positions: (N,) slice positions in [0, 1], NaN where a case is no slice.
        content: Hash of the pool's pixels, for content-addressed caches.
        seed: A seed derived for this use alone.
    """

    take: Callable[[Sequence[int]], Tensor]
    indices: Tensor
    names: tuple[str, ...]
    subset: tuple[int, ...]
    masks: Tensor
    positions: Tensor
    content: str
    seed: int

    @property
    def images(self) -> Tensor:
        """The whole pool, (N, C, *S) float32: a copy, which can be large."""
        return self.take(range(len(self.indices)))

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """For each image, the hash of its prepared pixels: what deformations are stored under."""
        from medscale.identity import array_key

        return tuple(array_key(self.take([i]).numpy()) for i in range(len(self.indices)))


@runtime_checkable
class Dataset(Protocol):
    """Cases of one data set, 2-D or 3-D."""

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Every binary task, by name. A label value that no task names is an error."""

    def cases(self) -> Sequence[Case]:
        """All cases, cheap and in a stable order, without reading pixels."""

    def load(self, case: Case) -> Sample:
        """Read one case.

        Raises:
            DataError: If a file is missing, truncated or not what it has to be; names it.
        """


@runtime_checkable
class Backbone(Protocol):
    """A family of segmentation networks."""

    def build(
        self, *, in_channels: int, out_channels: int, spatial_shape: tuple[int, ...]
    ) -> nn.Module:
        """Build an untrained network that maps (B, in, *S) to logits (B, out, *S).

        Core seeds torch around this call, so drawing initial weights the usual way is right.

        Raises:
            ConfigError: If the network cannot take that shape; says which it can.
        """


@runtime_checkable
class Augmenter(Protocol):
    """A random change of training images, on top of the baseline augmentation."""

    def fit(self, view: PoolView) -> None:
        """Learn from the pool; called once per trial, before any batch.

        Anything slow is cached under `context.cache`, keyed by `view.content` and the options.
        """

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Return the changed batch; the input is left as it is.

        Args:
            batch: Images and masks.
            generator: The only source of randomness: a CPU generator. Draw small parameters
                with it, then move them to the batch's device.
        """


@runtime_checkable
class Registrar(Protocol):
    """Deformable registration whose results form a vector space per moving image."""

    def register(self, *, moving: Tensor, fixed: Tensor) -> Tensor:
        """Return codes (B, …) that carry `moving` to `fixed`, both (B, C, *S).

        A row of NaN says that no registration of that pair was found; it is counted and shown,
        and never taken for the identity.

        A code is a point of a vector space attached to the moving image (an initial momentum, a
        stationary velocity): convex combinations of codes of one moving image are legal.
        """

    def displacement(self, *, codes: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return displacements (B, D, *shape) in voxels of `shape`.

        They are pull-backs: warped(x) = moving(x + u(x)).
        """


@runtime_checkable
class Recipe(Protocol):
    """What one trial does with its cases: train, predict, score."""

    def run(self, trial: TrialContext) -> Outcome:
        """Run the trial and return its scores."""


@dataclass(frozen=True, kw_only=True)
class WorkOrder:
    """Work for an executor: a document that any number of workers may share.

    Attributes:
        document: The file to hand to `medscale worker`. Workers claim trials from it one by
            one, so every worker gets the same document.
        trials: How many trials are open.
        workers: How many workers the user asked for.
        threads: CPU threads of each worker.
    """

    document: Path
    trials: int
    workers: int
    threads: int


@dataclass(frozen=True, kw_only=True)
class WorkerExit:
    """How one worker ended.

    Attributes:
        worker: Its id, as given to `medscale worker --id`.
        code: Exit status; negative for a signal; 0 for a regular end.
        log: The end of what it printed, for people.
    """

    worker: str
    code: int
    log: str = ""


@runtime_checkable
class Executor(Protocol):
    """Carries a work document to processes."""

    def execute(self, order: WorkOrder, heartbeat: Callable[[], None]) -> Sequence[WorkerExit]:
        """Start workers on the document and return when all of them have ended.

        Args:
            order: What to run.
            heartbeat: To be called at least once a second while workers run; it may raise
                KeyboardInterrupt, upon which the executor stops its workers and lets it pass.
        """


@runtime_checkable
class SupportsOtherMachines(Executor, Protocol):
    """An executor whose workers run on other machines.

    The device is then theirs to find ("auto" included), and how many run at a time is for the
    user to say.
    """

    @property
    def machines(self) -> str:
        """Where the workers run, in a few words."""


@runtime_checkable
class SupportsDisplacements(Protocol):
    """An augmenter that is a distribution over deformations.

    Core composes the field with the baseline affine and flips and resamples image and mask once.
    """

    def displacements(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return displacements (B, D, *G) in voxels of the image, pull-back.

        G is the image's shape, or a coarser grid that covers the same field of view (cell
        centres: the convention of `grid_sample(align_corners=False)`). A coarse field is
        interpolated by cubics: give it 14 cells or more for each wave of the deformation.
        """


@runtime_checkable
class SupportsFrame(Protocol):
    """Displacements that say whose frame they are in; without this, it is the image's.

    The baseline's affine map A comes between the image and the output. Displacements u of what an
    image shows are in the image's frame: out(x) = image(Ax + u(Ax)). Those that are the same
    whatever the image may be in the output's: out(x) = image(A(x + u(x))), which costs less, as
    they lie ready where they are needed.
    """

    @property
    def frame(self) -> Literal["image", "output"]:
        """Where the displacements are."""


@runtime_checkable
class SupportsSpline(SupportsDisplacements, Protocol):
    """Displacements in the output's frame that need not be laid out voxel by voxel.

    Core composes the coefficients with the baseline's affine map, so that large images are written
    to once.
    """

    def spline(self, batch: Batch, generator: torch.Generator) -> Spline | None:
        """Return what `displacements` would, with the same draws; None where all stay in place."""


@runtime_checkable
class SupportsRegistration(Protocol):
    """An augmenter that learns from registered pairs of the pool.

    `medscale register` fills its field store ahead of the trials, and `medscale preview
    --registration` shows pairs.
    """

    @property
    def registration(self) -> PairRegistration:
        """How pairs are registered, and where they are kept."""

    def wanted(self, view: PoolView, sources: Sequence[int]) -> Mapping[int, Sequence[int]]:
        """Return the targets of each source, all as places in the pool."""


@runtime_checkable
class SupportsDescription(Protocol):
    """A plugin that can say more about itself once constructed."""

    def describe(self) -> Mapping[str, Any]:
        """Return facts to show and to record, such as what was learned and how well."""

"""One's own images and masks, from a plain folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from medscale.data.cases import Array, Case, Sample, Task
from medscale.data.nifti import (
    SPATIAL_AXES,
    Geometry,
    cut_slice,
    read_nifti_geometry,
    slice_position,
    to_ras,
)
from medscale.errors import DataError
from medscale.protocols import PluginContext
from medscale_dataset_folder.config import FolderOptions
from medscale_dataset_folder.layout import Layout, find_layout
from medscale_dataset_folder.metadata import FILE_NAME, Row, read_metadata
from medscale_dataset_folder.orientation import axis_order, check_orientations, check_spacings
from medscale_dataset_folder.pixels import (
    VOLUMES,
    read_binary_mask,
    read_image,
    read_label_map,
    suffix_of,
)

_MAX_UNNAMED_LABELS = 32


class FolderDataset:
    """`images/` with `masks/<structure>/`, or with label maps in `masks/` or `labels/`."""

    def __init__(self, config: FolderOptions, context: PluginContext) -> None:
        self._config = config
        self._data = context.data
        self._log = context.log
        self._turn = config.orientation == "ras"
        # Slices come in volume order, so the last volume serves all of its slices.
        self._volume = lru_cache(maxsize=1)(self._read)
        self._orientation_told = False

    @cached_property
    def tasks(self) -> Mapping[str, Task]:
        """One task per structure or per label.

        Label maps without the option `labels` are read once to find their values: one value is
        the task `foreground`, several are `label_1`, `label_2`, ….

        Raises:
            DataError: If the folder has another layout, or a label map cannot be read.
        """
        layout, names = self._layout, self._config.labels
        if layout.structures:
            if names is not None:
                raise DataError(
                    f"{self._data} holds a mask per structure, and folder.labels names the values "
                    "of label maps; leave it out"
                )
            names = {name: (index,) for index, name in enumerate(layout.structures)}
        elif names is None:
            names = self._find_labels()
        absent = self._config.may_be_absent or self._config.cut_axis is not None
        return {name: Task(labels=values, may_be_absent=absent) for name, values in names.items()}

    def cases(self) -> Sequence[Case]:
        """All images, or all slices of all volumes, sorted by name; reads at most headers.

        Raises:
            DataError: If the folder has another layout, a mask is missing, `metadata.csv` does
                not match the images, or they are too oblique to be turned alike.
        """
        return tuple(case for case, _, _ in self._indexed.values())

    def load(self, case: Case) -> Sample:
        """Read one image or slice.

        Returns:
            Image (C, *S) float32, or its luminance; masks (K, *S) bool in the order of `tasks`, or
            labels (*S); spacing in mm, ones for pictures. Axes are as stored in pictures, and in
            NIfTI files as the option `orientation` says.

        Raises:
            DataError: If a file is missing, truncated or another format, or a mask has another size
                than its image or other values than a mask; or if the case is not one of
                `cases()`.
        """
        if case.id not in self._indexed:
            raise DataError(
                f"the folder has no case {case.id}; list the cases again with these options"
            )
        _, stem, index = self._indexed[case.id]
        if index is None or self._config.cut_axis is None:
            return self._read(stem)
        return cut_slice(self._volume(stem), self._config.cut_axis, index)

    @cached_property
    def _layout(self) -> Layout:
        return find_layout(self._folder(), self._log)

    @cached_property
    def _geometries(self) -> Mapping[str, Geometry]:
        """How each NIfTI image is stored, by stem."""
        images = self._layout.images
        geometries = {
            stem: read_nifti_geometry(path)
            for stem, path in images.items()
            if suffix_of(path) in VOLUMES
        }
        check_orientations(images, geometries, turn=self._turn, log=self._log)
        check_spacings(
            images, geometries, turn=self._turn, cut_axis=self._config.cut_axis, log=self._log
        )
        return geometries

    @cached_property
    def _indexed(self) -> dict[str, tuple[Case, str, int | None]]:
        """Each case with its image's stem and its slice number, by id."""
        return {case.id: (case, stem, index) for case, stem, index in self._find_cases()}

    def _find_cases(self) -> Iterator[tuple[Case, str, int | None]]:
        layout, axis = self._layout, self._config.cut_axis
        rows, geometries = self._rows(), self._geometries
        for stem, image in layout.images.items():
            row = rows[stem]
            subject = stem if row.subject is None else row.subject
            files = (image, *layout.masks[stem])
            if axis is None:
                case = Case(
                    id=stem, subject=subject, group=row.group, position=row.position, files=files
                )
                yield case, stem, None
                continue
            count = self._count_slices(image, geometries.get(stem), axis)
            for index in range(count):
                case = Case(
                    id=f"{stem}_{'xyz'[axis]}{index:03d}",
                    subject=subject,
                    group=row.group,
                    position=slice_position(index, count),
                    files=files,
                )
                yield case, stem, index

    def _folder(self) -> Path:
        if self._data is None:
            raise DataError(
                "folder got no folder to read; pass the one that holds images and masks with "
                "--data DIR"
            )
        if not self._data.is_dir():
            raise DataError(f"{self._data} is no folder; pass one with --data DIR")
        return self._data

    def _rows(self) -> Mapping[str, Row]:
        images = self._layout.images
        path = self._folder() / FILE_NAME
        rows = (
            read_metadata(path, images, self._log)
            if path.exists()
            else {stem: Row(subject=None) for stem in images}
        )
        if any(row.subject is None for row in rows.values()):
            self._log(
                f"no subjects are known, so each of the {len(images)} images counts as a person "
                f"of its own: if one person has several, give them one subject in {FILE_NAME}, "
                "or test scores will be too good"
            )
        if self._config.cut_axis is not None and any(
            row.position is not None for row in rows.values()
        ):
            raise DataError(
                f"{path} holds positions, but folder.cut_axis cuts volumes into slices with "
                "positions of their own; leave one of them out"
            )
        return rows

    def _count_slices(self, image: Path, geometry: Geometry | None, axis: int) -> int:
        if geometry is None or len(geometry.shape) < SPATIAL_AXES:
            raise DataError(
                f"{image} is no volume, expected 3-D NIfTI files for folder.cut_axis; leave "
                "that option out"
            )
        return geometry.shape[axis_order(geometry, turn=self._turn)[axis]]

    def _find_labels(self) -> dict[str, tuple[int, ...]]:
        maps = [masks[0] for masks in self._layout.masks.values()]
        self._log(f"reading {len(maps)} label maps to find their values")
        values: set[int] = set()
        for path in maps:
            labels = read_label_map(path, keep_volume=True)
            values |= {int(value) for value in np.unique(labels)} - {0}
            if len(values) > _MAX_UNNAMED_LABELS:
                raise DataError(
                    f"label maps up to {path} hold more than {_MAX_UNNAMED_LABELS} values, "
                    "expected one per structure; save them without smoothing, or name the values: "
                    "--set folder.labels.liver=1"
                )
        if not values:
            raise DataError(
                f"all {len(maps)} label maps beside {maps[0]} are empty; check the masks"
            )
        if min(values) < 0:
            raise DataError(
                f"label maps beside {maps[0]} hold the value {min(values)}, expected 0 for "
                "background and positive values"
            )
        if values == {1, 255}:
            raise DataError(
                f"label maps beside {maps[0]} hold both 1 and 255: masks saved in two ways, or two "
                "structures? make them one, or name them: "
                "--set folder.labels.organ=1,255"
            )
        if len(values) == 1:
            return {"foreground": tuple(values)}
        return {f"label_{value}": (value,) for value in sorted(values)}

    def _read(self, stem: str) -> Sample:
        path, masks = self._layout.images[stem], self._layout.masks[stem]
        keep_volume = self._config.cut_axis is not None
        image, spacing, axes = read_image(
            path, grayscale=self._config.grayscale, keep_volume=keep_volume
        )
        read = read_binary_mask if self._layout.structures else read_label_map
        labels: list[Array] = []
        for mask in masks:
            label = read(mask, keep_volume=keep_volume)
            if label.shape != image.shape[1:]:
                raise DataError(
                    f"mask {mask} has the size {_times(label.shape)} but its image {path.name} has "
                    f"{_times(image.shape[1:])}; save the mask at the image's size"
                )
            labels.append(label)
            self._compare_orientation(stem, mask)
        whole = np.stack(labels) if self._layout.structures else labels[0]
        sample = Sample(image=image, label=whole, spacing=spacing)
        orientation = self._geometries[stem].orientation if stem in self._geometries else None
        if orientation is None or not self._turn:
            return sample
        # The image's header turns its masks, too: they are paired voxel by voxel.
        return to_ras(sample, "".join(orientation[axis] for axis in axes))

    def _compare_orientation(self, stem: str, mask: Path) -> None:
        """Say once that headers disagree; arrays are often right where headers are not."""
        if self._orientation_told or stem not in self._geometries or suffix_of(mask) not in VOLUMES:
            return
        one, other = self._geometries[stem].orientation, read_nifti_geometry(mask).orientation
        if one and other and one != other:
            self._orientation_told = True
            self._log(
                f"mask {mask} is oriented {other} and its image {one}; they are paired voxel by "
                "voxel, so check that they fit with `medscale preview`"
            )


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(str(n) for n in shape)

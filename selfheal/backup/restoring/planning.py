"""What a restore would do, found out without changing anything."""

from __future__ import annotations

import datetime
import os
import stat
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import attrs

from selfheal.backup.entries import DATA_NAME, Entry, Manifest, SectionManifest
from selfheal.backup.paths import Below
from selfheal.backup.restoring.mounts import mount_points
from selfheal.backup.restoring.words import amount, count, moment, one_line
from selfheal.backup.sections import Section
from selfheal.errors import NotFoundError, RestoreRefusedError

_BLOCK = 4096
_RESERVE = 8 * 1024 * 1024
"""Bytes that a restore leaves free on every file system, for its own record and whoever else writes."""

Which = str | datetime.date
"""Which backup: ``"latest"``, an id, or a date: the newest made at that time or before."""


class _Named(Protocol):
    @property
    def id(self) -> str: ...


class Backups(Protocol):
    """What a restore asks of a store."""

    @property
    def sections(self) -> Sequence[Section]:
        """What it backs up; their probes tell of the state of the host."""

    def get(self, which: Which) -> _Named:
        """The backup that is meant; :class:`NotFoundError` where there is none."""

    def path(self, id: str) -> Path:
        """Its directory."""

    def manifest(self, id: str) -> Manifest:
        """Its manifest, checked."""


@attrs.frozen(kw_only=True)
class SectionPlan:
    """What a restore would do with one section.

    Args:
        section: from the manifest.
        data: the directory of the store with its content.
        target: what would be replaced, links resolved.
        home: the directory whose entries would be exchanged.
        in_place: whether the target stays itself, and its entries are exchanged one by one.
        why_in_place: why, in words.
        there: whether the target is there now.
        make: directories that would be made to hold the target.
    """

    section: SectionManifest
    data: Path
    target: Path
    home: Path
    in_place: bool = False
    why_in_place: str = ""
    there: bool = True
    make: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """Of the section."""
        return self.section.name


@attrs.frozen(kw_only=True)
class Space:
    """What a restore needs on one file system, and what there is.

    Args:
        where: a directory on it.
        bytes: needed.
        free: bytes there are.
        inodes: needed.
        free_inodes: there are; ``None`` where the file system does not count them.
    """

    where: str
    bytes: int
    free: int
    inodes: int
    free_inodes: int | None

    @property
    def enough(self) -> bool:
        """Whether it will do."""
        return self.bytes <= self.free and (self.free_inodes is None or self.inodes <= self.free_inodes)

    def __str__(self) -> str:
        inodes = "" if self.free_inodes is None else f", {self.inodes} inodes of {self.free_inodes} free"
        return f"{amount(self.bytes)} of {amount(self.free)} free{inodes} on the file system of {self.where}"


@attrs.frozen(kw_only=True)
class RestorePlan:
    """What a restore would do; print it for a dry run.

    Args:
        manifest: what is restored.
        sections: in the order in which they would be.
        space: by file system.
        problems: why it would be refused; empty where it would not.
    """

    manifest: Manifest
    sections: tuple[SectionPlan, ...]
    space: tuple[Space, ...]
    problems: tuple[str, ...] = ()

    @property
    def backup(self) -> str:
        """The id."""
        return self.manifest.id

    def check(self) -> None:
        """Do nothing if it can be done.

        Raises:
            RestoreRefusedError: if it cannot, with every reason.
        """
        if self.problems:
            raise RestoreRefusedError(self.backup, self.problems)

    def as_text(self) -> str:
        """The plan, for a person."""
        lines = [f"Restore of backup {self.backup}, made {moment(self.manifest.created)}", ""]
        for number, one in enumerate(self.sections, 1):
            lines += [f"{number}. {one.name}: {one.target}", *(f"   {told}" for told in _told(one))]
        lines += ["", *(f"Space: {space}{'' if space.enough else ' - NOT ENOUGH'}" for space in self.space)]
        if self.problems:
            lines += ["", "This would be REFUSED:", *(f"- {problem}" for problem in self.problems)]
        return "\n".join(map(one_line, [*lines, "", "Nothing was changed."]))

    __str__ = as_text


def plan_restore(
    store: Backups,
    which: Which = "latest",
    *,
    sections: Sequence[str] | None = None,
    targets: Mapping[str, Path | str] | None = None,
    in_place: Collection[str] = (),
    off_limits: Iterable[Path] = (),
) -> RestorePlan:
    """Find out what a restore would do. Nothing is changed, nothing is written.

    Args:
        store: where the backup is.
        which: which one: ``"latest"``, an id, or a date.
        sections: names of those to restore; all by default. They go in the order of the backup.
        targets: name to another place than the one the section was copied from.
        in_place: sections whose directory must stay the very one it is (something holds it open, or it is mounted
            where this cannot be seen): its entries are exchanged one by one. Mount points are always treated so.
        off_limits: directories that must not be replaced along with a target, beside the store itself.

    Raises:
        NotFoundError: if there is no such backup or section.
        ManifestRefusedError: if its manifest is not believed.
        OSError: if the store cannot be read.
    """
    backup = store.get(which).id
    directory, manifest = Path(store.path(backup)), store.manifest(backup)
    there = [section.name for section in manifest.sections]
    for name in [*(sections or ()), *(targets or ()), *in_place]:
        if name not in there:
            raise NotFoundError("section", name, there)
    wanted = [section for section in manifest.sections if sections is None or section.name in sections]
    mounts = mount_points()
    plans = tuple(
        _section(one, directory, Path((targets or {}).get(one.name, one.source)), one.name in in_place, mounts)
        for one in wanted
    )
    space = _space(plans)
    problems = [
        *(f"there is not enough space: {one}: make room, or restore to elsewhere" for one in space if not one.enough),
        *_problems(plans, [directory.parent, *off_limits], mounts),
        *([] if plans else ["no section was chosen"]),
    ]
    return RestorePlan(manifest=manifest, sections=plans, space=space, problems=tuple(problems))


def _section(
    section: SectionManifest, directory: Path, target: Path, in_place: bool, mounts: frozenset[Path]
) -> SectionPlan:
    target = Path(os.path.realpath(target))
    why = "asked for" if in_place else ""
    if target in mounts:
        why = "it is a mount point"
    there = os.path.lexists(target)
    missing = [above for above in target.parents if not os.path.lexists(above)]
    return SectionPlan(
        section=section,
        data=directory / DATA_NAME / section.name,
        target=target,
        home=target if why and there else target.parent,
        in_place=bool(why) and there,
        why_in_place=why,
        there=there,
        make=tuple(reversed(missing)),
    )


def _told(plan: SectionPlan) -> Iterable[str]:
    section = plan.section
    yield f"{count(section.files, 'file')}, {amount(section.size)}, copied from {section.source}"
    if not plan.there:
        yield "nothing is there now"
    elif plan.in_place:
        yield f"the directory stays, its entries are exchanged one by one ({plan.why_in_place}): NOT atomic as a whole"
    else:
        yield "exchanged as a whole: in one step where the file system can, else in two renames"
    for path in plan.make[:1]:
        yield f"{path} is made first"
    if section.unstable:
        yield f"{count(len(section.unstable), 'file')} changed while being backed up: {section.unstable[0]!a}, ..."
    if section.skipped:
        skipped = section.skipped[0]
        yield f"not in the backup: {count(len(section.skipped), 'name')}: {skipped.path!a} ({skipped.why}), ..."


def _space(plans: Iterable[SectionPlan]) -> tuple[Space, ...]:
    needs: dict[int, tuple[Path, int, int]] = {}
    for plan in plans:
        where = next(above for above in (plan.home, *plan.home.parents) if os.path.isdir(above))
        device = os.stat(where).st_dev
        first, size, inodes = needs.get(device, (where, _RESERVE, 16))
        more, names = _needed(plan)
        needs[device] = (first, size + more, inodes + names + len(plan.make))
    return tuple(_measured(where, size, inodes) for where, size, inodes in needs.values())


def _measured(where: Path, size: int, inodes: int) -> Space:
    seen = os.statvfs(where)
    free = seen.f_bavail * seen.f_frsize
    return Space(
        where=str(where), bytes=size, free=free, inodes=inodes, free_inodes=seen.f_favail if seen.f_files else None
    )


def _needed(plan: SectionPlan) -> tuple[int, int]:
    """Bytes and inodes; a file with holes counts by what it has in the store, a second name of a file nothing."""
    size = inodes = 0
    groups: set[int] = set()
    with Below.at(plan.data) as tree:
        for entry in plan.section.entries:
            if entry.group is not None:
                if entry.group in groups:
                    continue
                groups.add(entry.group)
            inodes += 1
            size += _BLOCK if entry.type != "file" else _allocated(tree, entry)
    return size, inodes


def _allocated(tree: Below, entry: Entry) -> int:
    whole = -(-max(entry.size, 0) // _BLOCK) * _BLOCK
    try:
        seen = tree.lstat(entry.path)
    except OSError:
        return whole  # told when it is copied
    return min(whole, seen.st_blocks * 512) if seen.st_blocks * 512 < seen.st_size else whole


def _problems(plans: Sequence[SectionPlan], keep: Iterable[Path], mounts: frozenset[Path]) -> Iterable[str]:
    kept = [Path(os.path.realpath(path)) for path in keep]
    for number, plan in enumerate(plans):
        for path in kept:
            if path.is_relative_to(plan.target) or plan.target.is_relative_to(path):
                both = f"target {plan.target} of section {plan.name!r} and {path}"
                yield f"{both} lie in one another: choose another target"
        for other in plans[:number]:
            if other.target.is_relative_to(plan.target) or plan.target.is_relative_to(other.target):
                yield f"targets of sections {other.name!r} and {plan.name!r} lie in one another: {plan.target}"
        for mount in sorted(mounts):
            if mount != plan.target and mount.is_relative_to(plan.target):
                yield f"{mount} is mounted inside the target of section {plan.name!r}: unmount it first"
        yield from _unfit(plan)


def _unfit(plan: SectionPlan) -> Iterable[str]:
    if plan.target == plan.target.parent:
        yield f"section {plan.name!r} would replace the root of the file system: choose another target"
        return
    if plan.in_place and plan.section.root == "file":
        yield f"section {plan.name!r} is one file, which cannot be restored in place: {plan.target}"
        return
    if plan.in_place and not plan.target.is_dir():
        yield f"target {plan.target} of section {plan.name!r} is no directory, so it cannot be restored in place"
        return
    above = next(above for above in plan.target.parents if os.path.lexists(above))
    if not stat.S_ISDIR(os.stat(above).st_mode):
        yield f"{above} is no directory, so the target of section {plan.name!r} cannot lie below it"
        return
    where = plan.home if plan.there else above
    if os.statvfs(where).f_flag & os.ST_RDONLY:
        yield f"the file system of {where} is read-only (section {plan.name!r})"
    elif not os.access(where, os.W_OK | os.X_OK):
        yield f"no leave to write in {where} (section {plan.name!r})"

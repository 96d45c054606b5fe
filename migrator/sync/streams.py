"""Where records are read and written: the streams of each mapping, with the fields that are asked for and compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from migrator.core.errors import ProjectError
from migrator.core.translation import Direction, Pair, PairedObject, Translator
from migrator.core.twoway import Which
from migrator.sync.meter import Meter


@dataclass(frozen=True, slots=True)
class Stream:
    """The records of one object on one side, as one mapping sees them."""

    name: str
    which: Which
    mapping: str
    paired: PairedObject
    object: str
    system: str
    side: Meter
    fields: tuple[str, ...]
    """What every read asks for."""
    compared: tuple[str, ...]
    """Fields of pairs: what bases and fingerprints are of."""
    key_field: str
    """Where records that the sync creates carry the partner's key; '' when it creates none there."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One mapping: its new stream and an old one for each source."""

    mapping: str
    new: Stream
    olds: tuple[Stream, ...]
    pairs: Mapping[str, Mapping[str, Pair]]
    """Old stream → new field → pair, as `decide` takes them."""
    fingerprint: str

    @property
    def streams(self) -> tuple[Stream, ...]:
        """All of them, old ones first."""
        return (*self.olds, self.new)

    def stream(self, name: str) -> Stream:
        """By name."""
        return next(item for item in self.streams if item.name == name)

    @property
    def backwards(self) -> Stream | None:
        """The old stream in which partners of new records are created, or None."""
        return next((item for item in self.olds if item.key_field), None)

    @property
    def flows_forward(self) -> bool:
        """Whether old records get partners."""
        return any(pair.direction.goes_forward for found in self.pairs.values() for pair in found.values())


@dataclass(frozen=True, slots=True)
class Scenes:
    """All mappings, those that others link to first."""

    scenes: tuple[Scene, ...]
    by_stream: Mapping[str, tuple[Scene, Stream]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Scene]:
        return iter(self.scenes)

    def stream(self, name: str) -> Stream | None:
        """By name, or None for one that the mappings no longer know."""
        found = self.by_stream.get(name)
        return found[1] if found else None


def build_scenes(translator: Translator, sides: Mapping[str, Meter]) -> Scenes:
    """Streams of all paired objects; raises `ProjectError` when a system has no side."""
    grouped: dict[str, list[PairedObject]] = {}
    for paired in translator.objects:
        grouped.setdefault(paired.mapping, []).append(paired)
    scenes = tuple(_scene(name, found, sides) for name, found in grouped.items())
    return Scenes(scenes, {stream.name: (scene, stream) for scene in scenes for stream in scene.streams})


def _scene(name: str, found: Sequence[PairedObject], sides: Mapping[str, Meter]) -> Scene:
    olds = tuple(_old(paired, sides) for paired in found)
    first = found[0]
    new = Stream(
        name, Which.NEW, name, first, first.new_object, first.new_system, _side(sides, first.new_system, name),
        tuple(dict.fromkeys(field for paired in found for field in (first.new_key, *paired.new_fields))),
        tuple(dict.fromkeys(pair.new for paired in found for pair in _moving(paired))),
        first.new_key,
    )  # fmt: skip
    pairs = {
        stream.name: {pair.new: pair for pair in _moving(paired)}
        for stream, paired in zip(olds, found, strict=True)
    }
    return Scene(name, new, olds, pairs, "/".join(paired.fingerprint for paired in found)[:64])


def _old(paired: PairedObject, sides: Mapping[str, Meter]) -> Stream:
    keys = (paired.old_key,) if paired.old_key else ()
    return Stream(
        paired.name, Which.OLD, paired.mapping, paired, paired.old_object, paired.old_system,
        _side(sides, paired.old_system, paired.name), tuple(dict.fromkeys((*keys, *paired.old_fields))),
        tuple(dict.fromkeys(name for pair in _moving(paired) for name in pair.old)), paired.old_key,
    )  # fmt: skip


def _moving(paired: PairedObject) -> tuple[Pair, ...]:
    return tuple(pair for pair in paired.pairs if pair.direction is not Direction.NONE)


def _side(sides: Mapping[str, Meter], system: str, name: str) -> Meter:
    if system not in sides:
        raise ProjectError.at(
            name, f"the system {system!r} cannot be kept in step: it has no side", "see `migrator check`"
        )
    return sides[system]

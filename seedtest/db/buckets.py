"""Buckets: the parts that learners fall into, so that batches and shards are ranges of numbers."""

from dataclasses import dataclass

from seedtest.errors import ConfigurationError

BUCKETS = 4096
"""How many there are; a learner's is a hash of the id, the same on every machine and for ever."""


@dataclass(frozen=True)
class Buckets:
    """The buckets from `first` to `last`, both included."""

    first: int
    last: int

    @property
    def parameters(self) -> dict[str, int]:
        """The bound values of a condition on them."""
        return {"first_bucket": self.first, "last_bucket": self.last}


@dataclass(frozen=True)
class Shard:
    """Part `number` of `of` equal parts of the learners; the only one is everybody."""

    number: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.of <= BUCKETS:
            raise ConfigurationError(
                f"There is no shard {self.number} of {self.of}: shards are numbered from 0, and there are at "
                f"most {BUCKETS}."
            )

    @property
    def buckets(self) -> Buckets:
        """The buckets of the shard's learners."""
        return Buckets(BUCKETS * self.number // self.of, BUCKETS * (self.number + 1) // self.of - 1)

    def touches(self, other: "Shard") -> bool:
        """Return whether a bucket belongs to both."""
        mine, theirs = self.buckets, other.buckets
        return mine.first <= theirs.last and theirs.first <= mine.last

    def __str__(self) -> str:
        return f"{self.number} of {self.of}"


EVERYBODY = Shard()


def bucket_of(user_id: str) -> str:
    """Return the SQL of a learner's bucket; `user_id` is SQL too."""
    return f"('x' || substr(md5({user_id}), 1, 3))::bit(12)::int"


def of_shard(shard: Shard, bucket: str) -> str:
    """Return SQL that is true of a shard's learners, with its `Buckets.parameters`; `bucket` is SQL too.

    Of everybody it is true at once: a hash for each of millions of rows takes seconds.
    """
    return "true" if shard.of == 1 else f"{bucket} BETWEEN :first_bucket AND :last_bucket"

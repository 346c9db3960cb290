"""Load every block of an environment, touch what it points at, and say what is wrong."""

from collections.abc import Iterator

from blocks import run_time
from blocks.diagnosis import (
    Category,
    Diagnosis,
    Level,
    Target,
    not_checked,
    not_registered,
    sound,
)
from blocks.environment import BlockEnvironment
from blocks.faults import TOUCHING_FAILS, explain
from blocks.probes import touch, touch_database
from blocks.table import DATABASE_URL, STORES, BlockDeclaration, BlockReference, declared
from blocks.targets import target
from seedtest.settings import load_settings

DATABASE = "database"


def check(environment: BlockEnvironment) -> Iterator[Diagnosis]:
    """Return what is found of each block in turn, then of the database."""
    unsound: set[BlockReference] = set()
    for declaration in declared(environment):
        finding = _check_block(declaration, unsound)
        if finding.level is Level.ERROR:
            unsound.add(declaration.reference)
        yield finding
    store = STORES.get(environment.secret_store)
    kept = None if store is None else BlockReference(store.get_block_type_slug(), DATABASE_URL)
    yield _check_database(kept, unsound)


def _check_block(declaration: BlockDeclaration, unsound: set[BlockReference]) -> Diagnosis:
    subject = str(declaration.reference)
    touched = Target(subject, declaration.reference.name)
    used = [value for value in declaration.fields.values() if isinstance(value, BlockReference)]
    for reference in used:
        if reference in unsound:
            return not_checked(touched, str(reference))
    try:
        block = run_time.load(declaration.block, declaration.reference.name)
        if block is None:
            return not_registered(touched)
        touched = target(block, subject)
        return sound(subject, touch(block))
    except TOUCHING_FAILS as error:
        return explain(touched, error)


def _check_database(kept: BlockReference | None, unsound: set[BlockReference]) -> Diagnosis:
    """Ask the database that a run would use: the one of the environment, else of the block."""
    touched = Target(DATABASE, DATABASE)
    try:
        address = load_settings().database_url
        if address is None and kept in unsound:
            return not_checked(touched, str(kept))
        address = address or run_time.database_url()
        if address is None:
            return _no_database()
        return sound(DATABASE, touch_database(address))
    except TOUCHING_FAILS as error:
        return explain(touched, error)


def _no_database() -> Diagnosis:
    return Diagnosis(
        Level.WARNING,
        Category.NOT_CHECKED,
        DATABASE,
        "not checked: DATABASE_URL is not set here, and the environment keeps it in no store.",
        "",
        "Run the check where runs run, or set DATABASE_URL.",
    )

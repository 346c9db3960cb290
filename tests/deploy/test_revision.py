"""Which commit names what is deployed."""

from pathlib import Path

import pytest

from deploy.revision import code_sha, tree_at
from seedtest.errors import ConfigurationError
from tests.deploy.projects import Project, git, make_project


@pytest.fixture
def clone(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project", "http://localhost:9/api")


def test_a_commit_that_changes_no_code_names_no_new_image(clone: Project) -> None:
    first = git(clone.root, "rev-parse", "HEAD")
    clone.edit("prefect.yaml", '"0 3 * * *"', '"30 3 * * *"')
    second = clone.commit()
    assert second != first
    assert code_sha(clone.root) == first


def test_a_commit_that_changes_code_names_a_new_image(clone: Project) -> None:
    clone.edit("flows/nightly.py", "Last UTC day", "The last UTC day")
    assert code_sha_after_commit(clone) == git(clone.root, "rev-parse", "HEAD")


def code_sha_after_commit(clone: Project) -> str:
    clone.commit()
    return code_sha(clone.root)


def test_code_that_no_commit_holds_is_not_deployed(clone: Project) -> None:
    clone.edit("flows/nightly.py", "Last UTC day", "The last UTC day")
    with pytest.raises(ConfigurationError, match=r"flows/nightly\.py.*Commit or stash"):
        code_sha(clone.root)


def test_an_earlier_tree_is_given_and_taken_away_again(clone: Project) -> None:
    first = git(clone.root, "rev-parse", "HEAD")
    clone.edit("prefect.yaml", '"0 3 * * *"', '"30 3 * * *"')
    clone.commit()
    with tree_at(clone.root, first) as tree:
        assert '"30 3 * * *"' not in (tree / "prefect.yaml").read_text()
    assert not tree.exists()
    assert len(git(clone.root, "worktree", "list").splitlines()) == 1


def test_an_unknown_commit_is_refused(clone: Project) -> None:
    with pytest.raises(ConfigurationError, match="0123abc"), tree_at(clone.root, "0123abc"):
        pass
